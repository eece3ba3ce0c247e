# Pipelines that Citus distributes, by lead and by schema, on a coordinator and
# workers: states, histories and profiles are those of a server without Citus.
# Skipped where the server has no Citus; shards.pl has stand-ins for it.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Citus;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

skip_without_citus();
my %pipelines = (crm => 'lead', ten => 'schema');
my ($whole, @nodes) = new_nodes(2);

# Run a statement in each pipeline, here and on one of the nodes; the answers,
# which must not tell numbers of leads, are the same.
sub both
{
	my ($what, $sql, $number, @user) = @_;
	my $node = $nodes[ $number // 0 ];
	foreach my $pipeline (sort keys %pipelines)
	{
		my $s = $sql =~ s/PIPE/$pipeline/gr;
		my ($rc, $out, $err) = $node->psql('postgres', $s, extra_params => [@user]);
		is($err =~ s/^(?:NOTICE|DETAIL|HINT):.*\n?//mgr, '', "$what, by $pipelines{$pipeline}: no error");
		is($out, $whole->safe_psql('postgres', $s, extra_params => [@user]), "$what, by $pipelines{$pipeline}: the same answer");
	}
}

# Leads by their names, as numbers differ; what begins by an activation begins now.
my %columns = (
	lead_state => 'activity::text, stage::text, cycle, stage_since, promotion_blocked',
	stage_log => 'seq, cycle, from_stage::text, to_stage::text, effective_at, cause, model, score, is_lead',
	segment_log => 'seq, segment, entered, cause',
	profile_change => 'seq, signal, count',
	consent => 'purpose, t.channel, status, occurred_at',
	event => 't.kind, occurred_at, value, properties, source_id',
	lead => 'email, profile, country, consented_at');
sub same
{
	my ($what) = @_;
	foreach my $pipeline (sort keys %pipelines)
	{
		foreach my $table (sort keys %columns)
		{
			my $sql = "SELECT count(*), md5(string_agg(r::text, ' ' ORDER BY r::text COLLATE \"C\")) FROM (SELECT l.external_id, $columns{$table}"
				. ($table eq 'lead' ? " FROM $pipeline.lead l) r" : " FROM $pipeline.$table t JOIN $pipeline.lead l USING (lead_id)" . ($table =~ /_log$/ ? ' WHERE superseded_at IS NULL' : '') . ') r');
			is($nodes[0]->safe_psql('postgres', $sql), $whole->safe_psql('postgres', $sql), "$what, by $pipelines{$pipeline}: the same $table");
		}
		is($nodes[0]->safe_psql('postgres', "SELECT * FROM $pipeline.verify()"), '', "$what, by $pipelines{$pipeline}: all is right");
	}
}

# what is there before, of an owner who is no superuser
my @owner = ('-U', 'owner');
foreach my $node ($whole, $nodes[0])
{
	foreach my $pipeline (sort keys %pipelines)
	{
		$node->safe_psql('postgres', qq{SELECT leadscore.create_pipeline('$pipeline', reports => false) \\g /dev/null
			SELECT $pipeline.upsert_lead('l' || i, email => 'a' || i || '\@example.com', consent => true, at => '2025-01-01Z',
				profile => CASE WHEN i % 3 = 0 THEN '{"budget": true, "authority": true}' ELSE '{}' END::jsonb) FROM generate_series(1, 60) i \\g /dev/null
			SELECT $pipeline.track('l' || i % 60 + 1, (ARRAY['page_view','product_page_view','pricing_view','case_study_download','email_open','demo_request','sales_contact','purchase','lost'])[1 + i * 7919 / 13 % 9],
				occurred_at => timestamptz '2025-01-02Z' + i * interval '3 hours', source_id => 's' || i) FROM generate_series(1, 600) i \\g /dev/null}, extra_params => \@owner);
	}
}
is($nodes[0]->safe_psql('postgres', "SELECT leadscore.distribute_pipeline('$_', by => '$pipelines{$_}') > 40", extra_params => \@owner), 't', "a pipeline with leads is distributed by $pipelines{$_}")
	foreach sort keys %pipelines;
same('what was there');
is($nodes[0]->safe_psql('postgres', 'SELECT count(*) FROM crm.lead WHERE lead_id <> leadscore.lead_number(external_id)'), '0', 'numbers follow from names');
is($nodes[0]->safe_psql('postgres', q{SELECT count(DISTINCT nodeport) > 1, count(DISTINCT shardid) FROM citus_shards WHERE table_name = 'crm.event'::regclass}), 't|4', 'leads are on several nodes');
is($nodes[0]->safe_psql('postgres', q{SELECT count(DISTINCT nodeport) FROM citus_shards WHERE table_name::text LIKE 'ten.%'}), '1', 'a schema is on one node');
# nothing is left where it was copied from
is($nodes[0]->safe_psql('postgres', q{SELECT sum(pg_relation_size(c.oid)) FROM pg_class c WHERE c.relkind = 'r' AND c.oid IN (SELECT logicalrelid FROM pg_dist_partition)}), '0', 'no copy is left');
is($_->safe_psql('postgres', "SELECT count(*) FROM pg_trigger t WHERE t.tgname LIKE 'config_changed%' AND t.tgenabled <> 'A' AND NOT t.tgisinternal"), '0', 'triggers of the configuration are on, always')
	foreach @nodes;

# what is refused
sub refused
{
	my ($sql, $error, $what) = @_;
	my ($rc, $out, $err) = $nodes[0]->psql('postgres', $sql);
	like($err, qr/ERROR:  $error/, $what);
}
refused("SET ROLE owner; SELECT leadscore.distribute_pipeline('crm')", 'pipeline "crm" is distributed already', 'distributed twice');
refused("SET ROLE owner; SELECT leadscore.distribute_pipeline('crm', by => 'x')", 'unknown layout "x"', 'an unknown layout');
refused("INSERT INTO crm.lead (lead_id, external_id) VALUES (1, 'other')", 'lead 1 cannot have this name', 'a number that does not follow from the name');
refused("UPDATE crm.lead SET external_id = 'other' WHERE external_id = 'l1'", 'lead \d+ cannot have this name', 'another name');
refused("BEGIN; SELECT crm.$_()", "$_\\(\\) of a distributed pipeline cannot run inside a transaction block", "$_ in a transaction block") foreach 'sweep', 'rebuild', 'verify';
refused($_, 'leads of a pipeline that is distributed by lead cannot be rebuilt by ranges', $_) foreach 'SELECT crm.start_rebuild()', 'CALL crm.continue_rebuild()';
refused("TRUNCATE crm.event", 'table "event" is distributed and cannot be truncated', 'TRUNCATE');
$nodes[0]->safe_psql('postgres', q{SELECT leadscore.create_pipeline('half', 'empty', attach => false, reports => false); SET client_min_messages = error; SET citus.enable_unsafe_triggers = on; SELECT create_reference_table('half.value_list')});
refused("SELECT leadscore.$_('half')", 'pipeline half is distributed in part', "$_ of a half-distributed pipeline") foreach 'attach_pipeline', 'distribute_pipeline';
$nodes[0]->safe_psql('postgres', "SELECT undistribute_table('half.value_list'); SELECT leadscore.drop_pipeline('half')");

# what apps do, from the coordinator and from a worker
foreach my $i (0, 1)
{
	both("track from node $i", qq{SELECT score, stage, stage_changed, duplicate, scored FROM PIPE.track('n$i', 'page_view', '{"page": "/"}', '2025-03-01 10:00Z', source_id => 'a')}, $i) foreach 1, 2;
	both("a document from node $i", qq{SELECT score, stage, stage_changed, duplicate, scored FROM PIPE.track('n$i', 'demo_request', occurred_at => '2025-03-02 10:00Z',
		profile => '{"email": "n$i\@x.example", "consent": true, "job_title": "head", "budget": true, "country": "de"}')}, $i);
	both("track_many from node $i", qq{SELECT * FROM PIPE.track_many('[{"external_id": "m$i", "kind": "pricing_view", "occurred_at": "2025-03-01T10:00:00Z", "source_id": "q1"},
		{"external_id": "n$i", "kind": "pricing_view", "occurred_at": "2025-03-04T10:00:00Z", "profile": {"country": "fr"}}, {"external_id": "l5", "kind": "page_view", "occurred_at": "2025-02-01T10:00:00Z", "source_id": "q2"},
		{"external_id": "m$i", "kind": "pricing_view", "occurred_at": "2025-03-01T10:00:00Z", "source_id": "q1"}]')}, $i);
	both("upsert_lead from node $i", qq{SELECT PIPE.upsert_lead('u$i', email => 'u$i\@x.example', consent => true, at => '2025-03-01Z') = PIPE.upsert_lead('u$i', country => 'de', at => '2025-03-02Z')}, $i);
	both("set_stage from node $i", qq{SELECT PIPE.set_stage('u$i', 'disqualified', 'spam')}, $i);
	both("reads from node $i", q{SELECT PIPE.score('l5', '2025-03-05Z'), PIPE.stage_at('l5', '2025-03-05Z'), PIPE.score_by_id(PIPE.lead_id('l3'), '2025-03-05Z'), PIPE.lead_id('nobody') IS NULL;
		SELECT * FROM PIPE.explain('l3', '2025-03-05Z'); SELECT * FROM PIPE.next_steps('l7')}, $i);
}
# stages that are set by hand are of now
$_->safe_psql('postgres', join ';', map { "DELETE FROM $_.event WHERE kind = 'stage_set'" } sort keys %pipelines) foreach $whole, $nodes[0];
same('what apps did');

# plain statements
both('many events', q{INSERT INTO PIPE.event (lead_id, kind, occurred_at, source_id)
	SELECT l.lead_id, 'page_view', timestamptz '2025-05-01Z' + i * interval '1 hour', 'i' || i FROM PIPE.lead l, generate_series(1, 5) i WHERE l.external_id LIKE 'l%'});
both('late and changed events', q{UPDATE PIPE.event SET kind = 'pricing_view' WHERE source_id LIKE 's1%'; DELETE FROM PIPE.event WHERE source_id LIKE 's2%'});
both('a rollback', q{BEGIN; DELETE FROM PIPE.event; SAVEPOINT s; DELETE FROM PIPE.lead WHERE country = 'de'; ROLLBACK TO s; ROLLBACK});
both('profiles', q{UPDATE PIPE.lead SET profile = '{"need": true, "timeline": true}', updated_at = '2025-05-02Z' WHERE external_id LIKE 'l1%'});
both('owners', q{UPDATE PIPE.lead SET owner = 'ann', updated_at = '2025-05-03Z' WHERE external_id LIKE 'l2%'; SELECT count(*) FROM PIPE.lead_change});
both('consent taken back', q{UPDATE PIPE.lead SET consented_at = NULL, updated_at = '2025-05-03Z' WHERE external_id LIKE 'l4%'});
both('leads deleted', q{DELETE FROM PIPE.lead WHERE external_id LIKE 'l3%'; SELECT count(*) FROM PIPE.event; SELECT count(*) FROM PIPE.consent});
same('plain statements');

# the configuration is that of every node
both('a new signal', q{INSERT INTO PIPE.signal (signal, event_kinds, condition) VALUES ('visit', '{page_view}', '$channel == null')});
both('a segment', q{INSERT INTO PIPE.segment (segment) VALUES ('viewers'); INSERT INTO PIPE.segment_condition (segment, condition, signal) VALUES ('viewers', 'views', 'visit'); SELECT PIPE.activate_segment('viewers')});
both('a new model', q{SELECT PIPE.clone_model('inbound', 'next'); UPDATE PIPE.rule SET points = 12 WHERE model = 'next' AND signal = 'page_view'; SELECT PIPE.activate_model('next')});
is($nodes[0]->safe_psql('postgres', q{SELECT count(DISTINCT result), bool_and(success) FROM run_command_on_all_nodes('SELECT array_agg(s ORDER BY s.configuration)::text FROM (SELECT configuration, signals_configuration FROM crm.setting) s')}), '1|t', 'one number of the configuration');
both('where leads stand', q{SELECT stage, count(*), round(sum(score)::numeric, 6) FROM PIPE.lead_score GROUP BY 1 ORDER BY 1}, 1);
both('the hottest leads', q{SELECT array_agg(score) FROM PIPE.hottest(5)}, 1);
both('two models', q{SELECT count(*) FROM PIPE.compare_models('inbound', 'next') c WHERE c.level = 'lead'}, 1);
both('sweep', q{CALL PIPE.sweep_all(); SELECT PIPE.sweep(100000)}, 1);
same('another configuration');
refused("SELECT crm.activate_model('inbound', wait => true)", 'leads of a distributed pipeline cannot be waited for', 'leads that are waited for');
both('a segment that is retired', q{SELECT PIPE.retire_segment('viewers'); SELECT PIPE.sweep(100000) > 0});
# no trigger sees the damage
$nodes[0]->safe_psql('postgres', qq{SELECT run_command_on_shards('$_.lead_state', 'UPDATE %s SET stage = ''iql'', cycle = 7 WHERE stage = ''mql''')
	FROM run_command_on_shards('$_.lead_state', 'ALTER TABLE %s DISABLE TRIGGER USER') LIMIT 1; SELECT run_command_on_shards('$_.lead_state', 'ALTER TABLE %s ENABLE TRIGGER USER')}) foreach sort keys %pipelines;
foreach my $pipeline (sort keys %pipelines)
{
	my $damage = $nodes[1]->safe_psql('postgres', "SELECT count(*) FROM $pipeline.verify()");
	cmp_ok($damage, '>', 0, "verify finds damage, by $pipelines{$pipeline}");
	is($nodes[1]->safe_psql('postgres', "SELECT $pipeline.rebuild()"), $damage, "rebuild repairs it, by $pipelines{$pipeline}");
}
same('rebuild');

# a role of an app, on a worker; a reader
both('grants', q{SELECT leadscore.grant_app('PIPE', 'app'), leadscore.grant_reader('PIPE', 'reader')}, 0, @owner);
both('an app', q{SELECT stage FROM PIPE.track('a1', 'page_view', occurred_at => '2025-03-01Z'); INSERT INTO PIPE.event (lead_id, kind, occurred_at) SELECT PIPE.lead_id('a1'), 'page_view', '2025-03-02Z'}, 1, '-U', 'app');
my $track = q{SELECT count(*) FROM PIPE.track('a1', 'page_view', occurred_at => '2025-03-03Z')};
both('an app in one transaction', "BEGIN; $track; $track; SELECT PIPE.score('a1', '2025-03-05Z'); COMMIT", 0, '-U', 'app');
like(($nodes[0]->psql('postgres', "BEGIN; $track; SELECT count(*) FROM PIPE.event" =~ s/PIPE/crm/gr, extra_params => [ '-U', 'app' ]))[2], qr/ERROR:  cannot perform query on placements that were modified in this transaction by a different user/,
	'what doc/citus.md says of statements after track()');
both('a reader', q{SELECT count(*) FROM PIPE.lead_score}, 1, '-U', 'reader');

# each node reads the states that it has
my $plan = $nodes[0]->safe_psql('postgres', 'EXPLAIN (COSTS off) SELECT stage, sum(score) FROM crm.lead_score GROUP BY 1');
like($plan, qr/Task Count: 4.* on lead_state_/s, 'states are read where they are');
is(scalar(() = $plan =~ /Task Count: 4/g), 1, 'and only their sums leave the nodes');

# another node, and parts that move
push @nodes, my $third = add_node($nodes[0], 'worker3');
$nodes[0]->safe_psql('postgres', sprintf q{SELECT replicate_reference_tables('block_writes');
	SELECT citus_move_shard_placement((SELECT min(shardid) FROM pg_dist_shard WHERE logicalrelid = 'crm.event'::regclass),
	(SELECT nodename FROM citus_shards WHERE table_name = 'crm.event'::regclass ORDER BY shardid LIMIT 1), (SELECT nodeport FROM citus_shards WHERE table_name = 'crm.event'::regclass ORDER BY shardid LIMIT 1),
	'%1$s', %2$d, 'block_writes'); SELECT citus_schema_move('ten', '%1$s', %2$d, 'block_writes')}, $third->host, $third->port);
is($nodes[0]->safe_psql('postgres', sprintf q{SELECT count(*) FROM citus_shards WHERE table_name IN ('crm.event'::regclass, 'ten.event'::regclass) AND nodeport = %d}, $third->port), '2', 'both are on the new node');
same('after the move');
both('track_many from node 3', q{SELECT * FROM PIPE.track_many((SELECT jsonb_agg(jsonb_build_object('external_id', 'l' || i, 'kind', 'pricing_view', 'occurred_at', '2025-06-01T00:00:00Z'))
	FROM generate_series(1, 20) i))}, 3);
same('events after the move');

# columns, and row security
both('a column', q{ALTER TABLE PIPE.lead ADD COLUMN region text; UPDATE PIPE.lead SET region = CASE WHEN external_id LIKE 'l1%' THEN 'north' ELSE 'south' END, updated_at = '2025-06-02Z'}, 0, @owner);
both('row security', q{GRANT USAGE ON SCHEMA PIPE TO reader; GRANT SELECT ON PIPE.lead TO reader; ALTER TABLE PIPE.lead ENABLE ROW LEVEL SECURITY; CREATE POLICY north ON PIPE.lead FOR SELECT TO reader USING (region = 'north')});
both('what a reader sees', q{SELECT count(*), min(region) FROM PIPE.lead}, 2, '-U', 'reader');
both('upgrade', q{SELECT leadscore.upgrade_pipeline('PIPE') > 0}, 0, @owner);
same('after all');

# refusals: by lead no node can write the addresses that all of them know, and a
# bounce withdraws the consent of its lead there
both('an event that refuses', q{SELECT stage IS NOT NULL FROM PIPE.track('l13', 'unsubscribe'); SELECT stage IS NOT NULL FROM PIPE.track('l14', 'email_bounced', '{"type": "hard"}'); SELECT stage IS NOT NULL FROM PIPE.track('l15', 'email_bounced', '{"type": "hard"}')}, 1);
both('what follows', q{SELECT external_id, contact_allowed FROM PIPE.lead WHERE external_id IN ('l13', 'l14', 'l16') ORDER BY 1; SELECT PIPE.may_contact('l13', 'email'), PIPE.may_contact('l15', 'email')}, 2);
is($nodes[0]->safe_psql('postgres', "SELECT count(*) FROM $_->[0].consent c JOIN $_->[0].lead l USING (lead_id) WHERE l.external_id IN ('l13', 'l14', 'l15') AND c.status = 'withdrawn' AND c.evidence ? 'event_id'"), $_->[1], "what is recorded, in $_->[0]")
	foreach [ crm => 3 ], [ ten => 1 ];
$_->stop foreach @nodes, $whole;
done_testing();
