# Leads that were loaded are counted by several sessions at once, while another
# one writes about them, one is terminated and the server crashes: the result is
# that of one attach_pipeline() of the same rows.

use strict;
use warnings;

use File::Basename;
use lib dirname(__FILE__);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Session;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('rebuild_range');
$node->init;
$node->append_conf('postgresql.conf', "autovacuum = off\nrestart_after_crash = on\n");
$node->start;
sub sql { return $node->safe_psql('postgres', @_) }

# A session that holds the row of a lead until it is let go.
sub hold
{
	my ($lead_id, $pipeline) = (@_, 'many');
	return hold_session($node, "SELECT FROM $pipeline.lead WHERE lead_id = $lead_id FOR UPDATE");
}

sub wait_for
{
	my ($query) = @_;
	ok($node->poll_query_until('postgres', $query), "it comes to: $query");
}

sql(q{CREATE EXTENSION leadscore});
foreach my $pipeline ('one', 'many')
{
	sql(qq{
		SELECT leadscore.create_pipeline('$pipeline', reports => false);
		SELECT $pipeline.activate_segment(segment) FROM $pipeline.segment ORDER BY segment_id;
		SELECT leadscore.detach_pipeline('$pipeline');
		INSERT INTO $pipeline.lead (lead_id, external_id, consented_at, profile, created_at, updated_at)
		SELECT n, 'lead' || n, CASE WHEN n % 3 > 0 THEN timestamptz '2024-01-01 00:00Z' END,
			CASE WHEN n % 4 = 0 THEN '{"job_title": "Head of Sales", "employees": 100}' ELSE '{}' END::jsonb, '2024-01-01 00:00Z', '2024-01-01 00:00Z'
		FROM generate_series(1, 1200) n;
		INSERT INTO $pipeline.event (lead_id, kind, occurred_at, value, properties)
		SELECT 1 + (hashint4(n) & 1023), (ARRAY['page_view', 'email_open', 'pricing_view', 'content_download', 'demo_request', 'quote_request', 'purchase', 'lost'])[1 + (hashint4(n + 7) & 7)],
			timestamptz '2024-01-05 00:00Z' + interval '1 hour' * (hashint4(n + 1) & 2047), n % 50, '{"intent": "solution"}'
		FROM generate_series(1, 12000) n;
	});
}

# The same is written to both while leads are counted, but not about leads of the
# two ranges that will stand still.
my $writes = '';
foreach my $n (1 .. 60)
{
	my @leads = grep { ($_ < 161 || $_ > 200) && ($_ < 881 || $_ > 920) } map { 1 + ($_ * 37 + $n * 101) % 1200 } 1 .. 7;
	foreach my $pipeline ('one', 'many')
	{
		my ($event, $lead) = ("$pipeline.event", "$pipeline.lead");
		my $ids = join(', ', @leads);
		$writes .= "INSERT INTO $event (lead_id, kind, occurred_at, properties)"
			. " SELECT l, 'content_download', timestamptz '2024-04-10 00:00Z' + $n * interval '1 minute', '{\"intent\": \"solution\"}' FROM unnest(ARRAY[$ids]) l;\n"
			. "UPDATE $lead SET profile = profile || '{\"employees\": $n}', updated_at = '2024-04-11 00:00Z' WHERE lead_id = $leads[0];\n"
			. "DELETE FROM $event WHERE lead_id = $leads[1] AND kind = 'email_open';\n";
	}
}

my $file = PostgreSQL::Test::Utils::tempdir() . '/writes.sql';
append_to_file($file, $writes);

is(sql(q{SELECT leadscore.attach_pipeline('one')}), '1200', 'one transaction counts all leads');
is(sql(q{SELECT leadscore.attach_pipeline('many', rebuild => false)}), '0', 'later');
is(sql(q{SELECT many.start_rebuild(40)}), '31', 'ranges: thirty, and one for numbers after them');
my $early = hold(170);
my $late = hold(900);
my @sessions = map { start_session($node, '-c', 'CALL many.continue_rebuild()') } 1 .. 3;
my $writer = start_session($node, '-f', $file);

# two of the sessions stand still, the third does all the rest
wait_for(q{SELECT count(*) = 29 FROM many.rebuild_range WHERE finished_at IS NOT NULL});
is(sql(q{SELECT string_agg(first_lead_id::text, ' ' ORDER BY first_lead_id) FROM many.rebuild_range WHERE finished_at IS NULL}), '161 881', 'ranges of leads that are locked are left');
is(finish($writer)->{err}, '', 'a writer went on');
is(sql('SELECT count(*) FROM leadscore.progress'), '2', 'two sessions are at work');
is(sql(q{SELECT count(*) FROM many.verify() v WHERE lead_id NOT BETWEEN 161 AND 200 AND lead_id NOT BETWEEN 881 AND 920}), '0', 'what is done is right');

# one is terminated; its range is done by a session that comes later
my $blocked = q{SELECT pid FROM pg_stat_activity WHERE query LIKE 'CALL%' AND pg_blocking_pids(pid) && ARRAY(SELECT pid FROM pg_stat_activity WHERE query LIKE '%lead_id = LEAD FOR UPDATE%')};
sql('SELECT pg_terminate_backend(pid) FROM (' . $blocked =~ s/LEAD/170/r . ') b');
release($early);
my $next = finish(start_session($node, '-c', 'CALL many.continue_rebuild()'));
is($next->{err}, '', 'a session that comes later ends');
is(sql(q{SELECT string_agg(first_lead_id::text, ' ') FROM many.rebuild_range WHERE finished_at IS NULL}), '881', 'and has left only what another one has');

# the server crashes in the last one
kill('KILL', sql($blocked =~ s/LEAD/900/r));
finish($_) foreach @sessions, $late;
isnt($sessions[0]->{err} . $sessions[1]->{err} . $sessions[2]->{err}, '', 'sessions failed');
$node->poll_query_until('postgres', 'SELECT true');
is(sql(q{SELECT count(*) || ' ' || min(first_lead_id) FROM many.rebuild_range WHERE finished_at IS NULL}), '1 881', 'what was committed stays done');
sql('CALL many.continue_rebuild()');
is(sql(q{SELECT count(*) FROM many.rebuild_range WHERE finished_at IS NULL}), '0', 'the last range is done');

is(sql("SELECT * FROM $_.verify()"), '', "$_: all is right") foreach 'one', 'many';
is(sql(q{SELECT count(*) FROM one.lead_state a FULL JOIN many.lead_state b USING (lead_id)
	WHERE (a.activity, a.stage, a.stage_since, a.cycle, a.suspended_stage, a.promotion_blocked, a.segments, a.segments_since, a.milestone_at)
		IS DISTINCT FROM (b.activity, b.stage, b.stage_since, b.cycle, b.suspended_stage, b.promotion_blocked, b.segments, b.segments_since, b.milestone_at)}), '0', 'the same states');
foreach my $log ('stage_log', 'segment_log')
{
	my $rows = qq{SELECT to_jsonb(h) - '{seq,recorded_at,superseded_at,changed_at}'::text[] FROM PIPELINE.$log h WHERE superseded_at IS NULL};
	my ($one, $many) = map { $rows =~ s/PIPELINE/$_/r } 'one', 'many';
	is(sql("SELECT (SELECT count(*) > 1000 FROM one.$log), (SELECT count(*) FROM ($one EXCEPT ALL $many) d), (SELECT count(*) FROM ($many EXCEPT ALL $one) d)"), 't|0|0', "the same $log");
}

# Of a pipeline that was detached some leads have states, and others have none. A
# range takes both in the order of lead_id, as a writer does: so neither waits for
# the other for ever.
sql(q{
	SELECT leadscore.create_pipeline('mixed', reports => false);
	INSERT INTO mixed.lead (lead_id, external_id) VALUES (3, 'had a state');
	SELECT leadscore.detach_pipeline('mixed');
	INSERT INTO mixed.lead (lead_id, external_id) VALUES (5, 'loaded'), (7, 'loaded too');
	INSERT INTO mixed.event (lead_id, kind) SELECT n, 'page_view' FROM unnest('{3,5,7}'::bigint[]) n;
	SELECT leadscore.attach_pipeline('mixed', rebuild => false);
});
my $last = hold(7, 'mixed');
my $range = start_session($node, '-c', 'CALL mixed.continue_rebuild()');
wait_for(q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'CALL mixed%' AND wait_event_type = 'Lock'});
my $other = start_session($node, '-c', q{INSERT INTO mixed.event (lead_id, kind) VALUES (3, 'page_view'), (5, 'page_view')});
wait_for(q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'INSERT INTO mixed%' AND wait_event_type = 'Lock'});
release($last);
is(finish($range)->{err}, '', 'a range of leads of both kinds ends');
is(finish($other)->{err}, '', 'and so does a writer');
is(sql(q{SELECT string_agg(s.lead_id || ': ' || u.count, ' ' ORDER BY s.lead_id) FROM mixed.lead_state s, leadscore.unnest(s.activity) u JOIN mixed.signal g ON g.signal_id = u.signal_id AND g.signal = 'page_view'}),
	'3: 2 5: 2 7: 1', 'all events are counted once');
is(sql('SELECT * FROM mixed.verify()'), '', 'mixed: all is right');

done_testing();
