# Workers that are killed at any moment, sessions that are terminated, and a
# server that crashes, while leads begin and end sequences, take consent back and
# are merged: each step of a run is put into the queue once, and handed out to one
# worker at a time, within limits, hours and consent. QUEUE_SECONDS says how long
# (default 20), QUEUE_SEED repeats the choices of what is killed.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $seconds = $ENV{QUEUE_SECONDS} || 20;
my $seed = $ENV{QUEUE_SEED} // int(rand(1e9));
my $workers = 8;
srand($seed);

my $node = PostgreSQL::Test::Cluster->new('queue_crash');
$node->init;
$node->append_conf('postgresql.conf', q{
fsync = off
max_connections = 40
restart_after_crash = on
deadlock_timeout = '50ms'
log_line_prefix = '%m [%p] %e %a '
log_statement = none
autovacuum_naptime = '1s'
});
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION leadscore;
	CREATE EXTENSION amcheck;
	SELECT leadscore.create_pipeline('p', 'empty', reports => false);
	SET search_path = p, leadscore, public;
	INSERT INTO signal (signal, event_kinds) VALUES ('act', '{act}'), ('ask', '{ask}'), ('buy', '{buy}'), ('bye', '{bye}');
	INSERT INTO model (model) VALUES ('m');
	INSERT INTO dimension (model, dimension) VALUES ('m', 'd');
	INSERT INTO rule (model, dimension, rule, signal, points, decay, decay_period) VALUES ('m', 'd', 'act', 'act', 10, 'none', NULL);
	INSERT INTO stage_rule (model, stage, min_score) VALUES ('m', 'mql', 20), ('m', 'sql', 200);
	SELECT activate_model('m', wait => true);
	INSERT INTO sequence (sequence, starts_on, start_name, goal_signals, exit_signals, again_after, late_after, priority) VALUES
		('nurture', 'event', 'act', '{buy}', '{bye}', '0', '20 seconds', 100),
		('sales', 'event', 'ask', '{buy}', '{bye}', '1 second', '1 hour', 10),
		('warm', 'stage', 'mql', '{}', '{bye}', NULL, '1 hour', 50),
		('news', 'by_hand', NULL, '{}', '{}', '0', '5 seconds', 200);
	INSERT INTO sequence_step (sequence, step, position, delay, kind, channel, topic, transactional, unless) VALUES
		('nurture', 'one', 1, '0', 'message', 'email', 'news', false, '{}'),
		('nurture', 'two', 2, '300 ms', 'message', 'sms', NULL, false, '{}'),
		('nurture', 'three', 3, '100 ms', 'message', 'email', NULL, false, '{bye}'),
		('sales', 'thanks', 1, '0', 'message', 'email', NULL, true, '{}'),
		('sales', 'call', 2, '200 ms', 'task', 'phone', NULL, false, '{}'),
		('sales', 'mail', 5, '0', 'message', 'email', NULL, false, '{}'),
		('warm', 'alert', 1, '0', 'alert', 'phone', NULL, false, '{}'),
		('warm', 'text', 2, '0', 'message', 'sms', NULL, false, '{}'),
		('news', 'mail', 1, '0', 'message', 'email', 'news', false, '{}');
	INSERT INTO assignment (owner, stage, weight) VALUES ('ann', 'mql', 2), ('bob', 'mql', 1);
	INSERT INTO contact_limit (channel, period, max_count) VALUES ('sms', 'day', 3), (NULL, 'week', 25);
	INSERT INTO contact_hours (channel, not_before, not_after) VALUES ('sms', '00:00', '15:30'), ('email', '22:00', '19:00');
	SELECT activate_sequence(sequence) FROM sequence;
	-- leads above 100 are merged
	INSERT INTO lead (lead_id, external_id, email, phone, time_zone, created_at, updated_at)
		SELECT i, 'lead ' || i, i || '@example.com', '+34 6' || i, (ARRAY['Europe/Madrid', 'America/Los_Angeles', 'Asia/Tokyo', 'Asia/Kolkata', NULL])[1 + i % 5], '2025-01-01', '2025-01-01'
		FROM generate_series(1, 130) i;
	SELECT setval('lead_lead_id_seq', 1000);
	SELECT give_consent_by_id(lead_id, w, evidence => '{"form": "f"}', occurred_at => '2025-01-02')
	FROM lead, unnest('{policy,marketing}'::text[]) w WHERE lead_id % 7 > 0;

	CREATE TABLE public.claims (lead_id bigint, action_id bigint, attempt integer, channel text, worker text, claimed_at timestamptz, kind text, topic text,
		transactional boolean, not_merged boolean);
	CREATE TABLE public.said (result text);
	-- why actions waited, or were skipped
	CREATE TABLE public.seen (reason text);
	SET search_path = public;
	-- Times do not tell what came first: what ends a run may have begun long before
	-- it got the lock. That the run is open is seen when its action is written.
	CREATE FUNCTION in_open_run() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		IF NOT EXISTS (SELECT FROM p.enrollment e WHERE (e.lead_id, e.sequence, e.run) = (NEW.lead_id, NEW.sequence, NEW.run) AND e.ended_at IS NULL) THEN
			RAISE EXCEPTION 'an action of a run that has ended: %', NEW;
		END IF;
		RETURN NULL;
	END $$;
	CREATE TRIGGER in_open_run AFTER INSERT ON p.action FOR EACH ROW
		WHEN (NEW.run IS NOT NULL) EXECUTE FUNCTION in_open_run();
	CREATE TRIGGER in_open_run_again AFTER UPDATE OF status ON p.action FOR EACH ROW
		WHEN (NEW.run IS NOT NULL AND NEW.status IN ('waiting', 'claimed') AND (NEW.status, NEW.attempt) <> (OLD.status, OLD.attempt)) EXECUTE FUNCTION in_open_run();
	CREATE FUNCTION see_reason() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO public.seen VALUES (NEW.reason);
		RETURN NULL;
	END $$;
	CREATE TRIGGER see_reason AFTER UPDATE OF reason ON p.action FOR EACH ROW
		WHEN (NEW.reason IS DISTINCT FROM OLD.reason) EXECUTE FUNCTION see_reason();
	-- what finds a lead gone, or a sequence paused, gives up
	CREATE FUNCTION attempt(sql text) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		EXECUTE sql;
	EXCEPTION
		WHEN no_data_found OR object_not_in_prerequisite_state OR foreign_key_violation THEN NULL;
	END $$;
	-- a worker says something about an action that it was given
	CREATE FUNCTION work(worker text, choice int) RETURNS void LANGUAGE plpgsql AS $$
	DECLARE
		c claims;
		before p.action;
		result boolean;
	BEGIN
		SELECT * INTO c FROM claims o WHERE o.worker = work.worker ORDER BY claimed_at DESC, random() LIMIT 1 OFFSET choice % 5;
		IF c.action_id IS NULL THEN
			RETURN;
		ELSIF choice < 60 THEN
			result := p.complete_action(c.lead_id, c.action_id, c.attempt, 'sent');
		ELSIF choice < 70 THEN
			result := p.fail_action(c.lead_id, c.action_id, c.attempt, 'error', retry => choice % 2 = 0);
		ELSIF choice < 80 THEN
			result := p.extend_action(c.lead_id, c.action_id, c.attempt, '3 seconds');
		ELSIF choice < 85 THEN
			result := p.cancel_action(c.lead_id, c.action_id, c.attempt);
		ELSE
			-- a ticket that is not the newest changes nothing
			PERFORM FROM p.lead_state s WHERE s.lead_id = c.lead_id FOR NO KEY UPDATE;
			SELECT * INTO before FROM p.action a WHERE a.lead_id = c.lead_id AND a.action_id = c.action_id;
			IF before.action_id IS NULL THEN
				RETURN;
			END IF;
			result := CASE choice % 4
				WHEN 0 THEN p.complete_action(c.lead_id, c.action_id, before.attempt - 1)
				WHEN 1 THEN p.fail_action(c.lead_id, c.action_id, before.attempt - 1)
				WHEN 2 THEN p.extend_action(c.lead_id, c.action_id, before.attempt - 1)
				ELSE p.cancel_action(c.lead_id, c.action_id, before.attempt - 1) END;
			IF result OR before IS DISTINCT FROM (SELECT a FROM p.action a WHERE a.lead_id = c.lead_id AND a.action_id = c.action_id) THEN
				RAISE EXCEPTION 'a stale ticket changed %', before;
			END IF;
			INSERT INTO said VALUES ('stale');
			RETURN;
		END IF;
		INSERT INTO said VALUES (CASE WHEN choice < 60 THEN 'complete' WHEN choice < 70 THEN 'fail' WHEN choice < 80 THEN 'extend' ELSE 'cancel' END || ' ' || result);
	END $$;
	-- with the lead locked, so that no claim lies between what is said and when
	CREATE FUNCTION say(lead bigint, choice int) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM p._lock_leads(ARRAY[lead]);
		IF choice % 3 = 0 THEN
			PERFORM p.withdraw_consent_by_id(lead, CASE WHEN choice % 4 = 0 THEN 'policy' ELSE 'marketing' END,
				CASE WHEN choice % 4 = 1 THEN 'sms' END, CASE WHEN choice % 4 = 2 THEN 'news' END, occurred_at => clock_timestamp());
		ELSE
			PERFORM p.give_consent_by_id(lead, w, evidence => '{"form": "f"}', occurred_at => clock_timestamp(),
				status => CASE WHEN choice % 5 = 1 THEN 'requested' ELSE 'granted' END)
			FROM unnest('{policy,marketing}'::text[]) w;
			PERFORM p.give_consent_by_id(lead, 'marketing', NULL, 'news', evidence => '{"form": "f"}', occurred_at => clock_timestamp())
			WHERE choice % 2 = 0;
			PERFORM p.give_consent_by_id(lead, 'marketing', 'sms', NULL, evidence => '{"form": "f"}', occurred_at => clock_timestamp())
			WHERE choice % 2 = 0;
		END IF;
	END $$;
});

my $dir = PostgreSQL::Test::Utils::tempdir;
my %scripts = (
	# claims are recorded in their transaction, of which every third is rolled back
	worker => q{
\set channel random(1, 3)
\set count random(1, 6)
\set lease random(1, 6)
\set end random(1, 3)
BEGIN;
INSERT INTO claims
	SELECT c.lead_id, c.action_id, c.attempt, x, current_setting('application_name'), now(), c.kind, c.topic, c.transactional, c.lead_id <= 100
	FROM (SELECT (ARRAY['email', 'sms', 'phone'])[:channel] AS x) n, p.claim_actions(n.x, :count, :lease * interval '300 ms', worker => current_setting('application_name')) c;
\if :end = 1
ROLLBACK;
\else
COMMIT;
\endif
\set choice random(0, 99)
SELECT work(current_setting('application_name'), :choice);
\set choice random(0, 99)
\set end random(1, 3)
BEGIN;
SELECT work(current_setting('application_name'), :choice);
\if :end = 1
ROLLBACK;
\else
COMMIT;
\endif
},
	event => q{
INSERT INTO p.event (lead_id, kind)
	SELECT l.lead_id, (ARRAY['act', 'act', 'ask', 'page', 'page', 'buy', 'bye', 'act'])[1 + floor(random() * 8)::int]
	FROM p.lead l WHERE l.lead_id IN (SELECT 1 + floor(random() * 130)::int FROM generate_series(1, 3)) AND l.erased_at IS NULL FOR KEY SHARE SKIP LOCKED;
},
	say => q{
\set lead random(1, 130)
\set choice random(0, 1000)
SELECT attempt($$SELECT say(:lead, :choice)$$);
},
	hand => q{
\set lead random(1, 130)
SELECT attempt($$SELECT p.enroll_lead('lead ' || :lead, 'news')$$);
SELECT attempt($$SELECT p.add_action('lead ' || :lead, 'sms', 'own', dedup_key => 'own ' || floor(random() * 3), expires_after => '10 seconds')$$);
SELECT attempt($$SELECT p.unenroll('lead ' || 1 + :lead % 130, 'nurture')$$);
},
	merge => q{
\set winner random(101, 130)
\set loser random(101, 130)
SELECT attempt($$SELECT p.merge_leads('lead ' || :winner, 'lead ' || :loser) WHERE p.lead_id('lead ' || :winner) <> p.lead_id('lead ' || :loser)$$);
\sleep 300 ms
},
	upkeep => q{
SELECT p.sweep(50);
SELECT attempt($$SELECT p.upsert_lead('lead ' || 101 + floor(random() * 30), profile => '{"a": 1}')$$);
SELECT attempt($$SELECT p.assign_lead('lead ' || 1 + floor(random() * 130), 'me')$$);
SELECT CASE WHEN random() < 0.05 THEN p.rebuild() END;
\sleep 50 ms
},
	pause => q{
SELECT attempt($$SELECT p.pause_sequence('news')$$);
\sleep 50 ms
SELECT attempt($$SELECT p.activate_sequence('news')$$);
\sleep 500 ms
});
append_to_file("$dir/$_.sql", $scripts{$_}) foreach keys %scripts;

my %running;
sub begin
{
	my ($name, $script) = @_;
	my $run = { out => '', err => '' };
	# a name of its own each time: what a dead worker held is nobody's
	local $ENV{PGAPPNAME} = $name . '_' . int(time * 1000);
	$run->{handle} = IPC::Run::start([ 'pgbench', '-n', '-c', 1, '-T', 3600, '--max-tries=0', '-h', $node->host, '-p', $node->port,
			'-f', "$dir/$script.sql", 'postgres' ], '<', \undef, '>', \$run->{out}, '2>', \$run->{err});
	$running{$name} = $run;
	return;
}
my %tasks = map { ("worker $_" => 'worker') } 1 .. $workers;
@tasks{ 'event 1', 'event 2', 'say', 'hand', 'merge', 'upkeep', 'pause' } = qw(event event say hand merge upkeep pause);

my %checks = (
	'two open runs of a lead and a sequence' => q{
		SELECT lead_id, sequence FROM p.enrollment WHERE ended_at IS NULL GROUP BY 1, 2 HAVING count(*) > 1},
	'a key twice' => q{
		SELECT lead_id, dedup_key FROM p.action GROUP BY 1, 2 HAVING count(*) > 1},
	'a step twice in a run' => q{
		SELECT lead_id, sequence, run, step FROM p.action WHERE run IS NOT NULL GROUP BY 1, 2, 3, 4 HAVING count(*) > 1},
	'an action that waits for a run that has ended' => q{
		SELECT a.lead_id, a.sequence, a.run, a.step, a.created_at, e.ended_at FROM p.action a JOIN p.enrollment e USING (lead_id, sequence, run)
		WHERE e.ended_at IS NOT NULL AND a.status = 'waiting'},
	'an open run that has not one action that waits or is claimed' => q{
		SELECT e.lead_id, e.sequence, e.run, count(a) FROM p.enrollment e LEFT JOIN p.action a ON (a.lead_id, a.sequence, a.run) = (e.lead_id, e.sequence, e.run) AND a.status IN ('waiting', 'claimed')
		WHERE e.ended_at IS NULL GROUP BY 1, 2, 3 HAVING count(a) <> 1},
	'a run that is completed, with a step that has not ended' => q{
		SELECT e.lead_id, e.sequence, e.run, s.step, a.status FROM p.enrollment e JOIN p.sequence_step s USING (sequence) LEFT JOIN p.action a USING (lead_id, sequence, run, step)
		WHERE e.end_reason = 'completed' AND a.ended_at IS NULL},
	'a step that was put into the queue before the step before it had ended' => q{
		SELECT a.lead_id, a.sequence, a.run, a.step FROM p.action a JOIN p.sequence_step s USING (sequence, step)
			JOIN p.sequence_step t ON t.sequence = s.sequence AND t.position < s.position
			LEFT JOIN p.action b ON (b.lead_id, b.sequence, b.run, b.step) = (a.lead_id, a.sequence, a.run, t.step)
		WHERE b.ended_at IS NULL},
	'more messages than a limit' => q{
		SELECT a.lead_id, m.channel, m.period, count(*) FROM p.action a JOIN p.lead l USING (lead_id) CROSS JOIN p.setting z JOIN p.contact_limit m ON m.channel IS NULL OR m.channel = a.channel
		WHERE a.kind = 'message' AND NOT a.transactional AND a.status IN ('claimed', 'done') AND a.lead_id NOT IN (SELECT lead_id FROM p.lead_merge)
		GROUP BY 1, 2, 3, date_trunc(m.period, a.claimed_at AT TIME ZONE coalesce(l.time_zone, z.time_zone)), m.max_count HAVING count(*) > m.max_count},
	'a ticket that two workers got' => q{
		SELECT action_id, attempt FROM claims GROUP BY 1, 2 HAVING count(*) > 1},
	'a claim that is not in the queue' => q{
		SELECT c.* FROM claims c LEFT JOIN p.action a USING (action_id) WHERE a.attempt >= c.attempt IS NOT TRUE},
	'a claim of a message outside of its hours' => q{
		SELECT c.lead_id, c.channel, c.claimed_at, l.time_zone FROM claims c JOIN p.lead l ON l.lead_id = c.lead_id JOIN p.contact_hours h ON h.channel = c.channel CROSS JOIN p.setting z
			CROSS JOIN LATERAL (SELECT (c.claimed_at AT TIME ZONE coalesce(l.time_zone, z.time_zone))::time AS t) w
		WHERE c.not_merged AND c.kind = 'message' AND NOT c.transactional
			AND NOT CASE WHEN h.not_before < h.not_after THEN w.t >= h.not_before AND w.t < h.not_after ELSE w.t >= h.not_before OR w.t < h.not_after END},
	'a claim of a message that was not allowed' => q{
		SELECT c.* FROM claims c WHERE c.not_merged AND c.kind = 'message' AND NOT p.may_contact_by_id(c.lead_id, c.channel, c.topic, c.claimed_at, c.transactional)});
# What there must have been, or the checks say nothing. On a slow machine it takes
# longer, up to three times as long.
my @to_see = ('SELECT count(*) FROM claims', "SELECT count(*) FROM said WHERE result = 'complete true'", "SELECT count(*) FROM said WHERE result = 'stale'",
	"SELECT count(*) FROM seen WHERE reason = 'frequency cap'", "SELECT count(*) FROM seen WHERE reason = 'quiet hours'",
	"SELECT count(*) FROM p.enrollment WHERE run > 1 AND end_reason IN ('goal', 'exited')", "SELECT count(*) FROM p.action WHERE attempt > 1",
	"SELECT count(*) FROM p.enrollment WHERE end_reason = 'unsubscribed'", "SELECT count(*) FROM p.enrollment WHERE end_reason = 'completed'");
sub saw_all
{
	return $node->safe_psql('postgres', 'SELECT ' . join ' AND ', map { "($_) > 0" } @to_see) eq 't';
}

# All are looked at in one snapshot
sub check
{
	my ($when) = @_;
	my $sql = join ' UNION ALL ', map { "SELECT '$_: ' || (SELECT string_agg(x::text, ' ') FROM (SELECT x FROM ($checks{$_}) x LIMIT 5) x)" } sort keys %checks;
	my ($rc, $out, $err) = $node->psql('postgres', "SELECT s FROM ($sql) AS n (s) WHERE s IS NOT NULL");
	return is("$out$err", '', "$when: invariants");
}

my $begin = time;
my ($crashed, $samples, %kills) = (0, 0);
begin($_, $tasks{$_}) foreach sort keys %tasks;
my @crash_at = map { $begin + $seconds * (0.3 + rand(0.4)) } 1;
while (time < $begin + $seconds || (time < $begin + 3 * $seconds && !saw_all()))
{
	usleep(int(rand(150_000)));
	foreach my $name (sort keys %tasks)
	{
		my $run = $running{$name};
		if (!$run->{handle}->pumpable)
		{
			eval { $run->{handle}->finish };
			diag("$name ended: $run->{err}") if $run->{err} =~ /ERROR/ && $run->{err} !~ /terminat|crash|shut|starting|recovery/;
			begin($name, $tasks{$name});
		}
		else
		{
			$run->{handle}->pump_nb;
		}
	}
	my $worker = 'worker ' . (1 + int(rand($workers)));
	if (@crash_at && time > $crash_at[0])
	{
		shift @crash_at;
		$node->stop('immediate');
		$node->start;
		$crashed++;
	}
	elsif (rand() < 0.3)
	{
		$running{$worker}{handle}->signal('KILL');
		$kills{client}++;
	}
	elsif (rand() < 0.3)
	{
		$node->psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'worker%' ORDER BY random() LIMIT 1");
		$kills{session}++;
	}
	elsif (rand() < 0.05)
	{
		check('sample ' . ++$samples) or last;
	}
}
foreach my $name (sort keys %tasks)
{
	$running{$name}{handle}->signal('KILL');
	eval { $running{$name}{handle}->finish };
}
$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name ~ '^(worker|event|say|hand|merge|upkeep|pause)'");
check('at the end');
is($node->safe_psql('postgres', 'SELECT * FROM p.verify()'), '', 'verify()');
is($crashed, 1, 'the server crashed');

# what the killed workers held comes back
my $held = $node->safe_psql('postgres', "SELECT count(*) FROM p.action WHERE status = 'claimed'");
$node->safe_psql('postgres', "SELECT count(*) FROM p.claim_actions('$_', 10000, at => now() + interval '10 seconds')") foreach 'email', 'sms', 'phone';
check('after what was held was handed out again') if $held > 0;

foreach my $what (@to_see)
{
	cmp_ok($node->safe_psql('postgres', $what), '>', 0, "there was something to see: $what");
}
note("seed $seed, killed: " . join(', ', map { "$kills{$_} $_" } sort keys %kills) . "; claims, and what workers said:\n"
	. $node->safe_psql('postgres', q{SELECT 'claims', count(*) FROM claims UNION ALL SELECT result, count(*) FROM said GROUP BY 1 UNION ALL
		SELECT concat_ws(' ', 'action', status, reason), count(*) FROM p.action GROUP BY 1 UNION ALL SELECT concat_ws(' ', 'run', coalesce(end_reason, 'open')), count(*) FROM p.enrollment GROUP BY 1}));
$node->command_ok(
	[ 'pg_amcheck', '--heapallindexed', '--parent-check', '-d', 'postgres', '-h', $node->host, '-p', $node->port ],
	'tables and indexes are sound');
$node->stop;
my $log = slurp_file($node->logfile);
my @entries = split(/^(?=\d{4}-\d\d-\d\d \S+ \S+ \[\d+\])/m, $log);
my @deadlocks = grep { /^\S+ \S+ \S+ \[\d+\] 40P01 / } @entries;
is(scalar(@deadlocks), 0, 'no deadlocks') or diag(@deadlocks);
# what a crash and a termination say, and autovacuum that makes way for others
my @wrong = grep { /^\S+ \S+ \S+ \[\d+\] (?!40P01|57014|57P0[1-3]|08)\w{5} .*(ERROR|FATAL|PANIC):/ } @entries;
is(scalar(@wrong), 0, 'no other errors') or diag(@wrong > 10 ? @wrong[0 .. 9] : @wrong);
unlike($log, qr/TRAP|signal (?!9:)\d/, 'no other crashes');
diag("QUEUE_SEED=$seed repeats what was killed") if !Test::More->builder->is_passing;
done_testing();
