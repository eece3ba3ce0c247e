# Every function and view of pipelines that Citus distributes, by lead and by
# schema, each in a session of its own: the answer is that of a server without
# Citus, or the function says in a sentence of ours that it does not work there.
# Skipped where the server has no Citus.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Citus;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Session;
use Test::More;

skip_without_citus();
my ($whole, @nodes) = new_nodes(2);

# near is on the first worker, where the calls are made, and far on the second
my %layout = (crm => 'lead', near => 'schema', far => 'schema');
my @pipelines = sort keys %layout;

my $setup = q{
	SELECT leadscore.create_pipeline('PIPE');
	SELECT PIPE.upsert_lead('l' || i, email => 'a' || i || '@example.com', phone => '+4930' || 1000 + i, consent => i % 5 > 0, at => '2025-01-01Z', channel => (ARRAY['seo','email'])[1 + i % 2],
		profile => CASE WHEN i % 3 = 0 THEN '{"budget": true, "authority": true}' WHEN i % 7 = 0 THEN '{"budget": "much"}' ELSE '{}' END::jsonb) FROM generate_series(1, 40) i;
	SELECT PIPE.track('l' || i % 40 + 1, (ARRAY['page_view','product_page_view','pricing_view','case_study_download','email_open','demo_request','sales_contact','purchase','no_such_kind'])[1 + i * 7919 / 13 % 9],
		occurred_at => timestamptz '2025-01-02Z' + i * interval '3 hours', source_id => 's' || i, value => CASE WHEN i % 9 = 7 THEN 100 END) FROM generate_series(1, 400) i;
	-- what happened lately: hot lists are of now
	SELECT PIPE.track('l' || i, k, occurred_at => date_trunc('day', now() - interval '2 days'), profile => '{"budget": true, "authority": true, "need": true, "timeline": true}')
		FROM generate_series(1, 12) i, unnest('{pricing_view,demo_request,product_page_view}'::text[]) k;
	INSERT INTO PIPE.segment (segment) VALUES ('viewers'), ('draft');
	INSERT INTO PIPE.segment_condition (segment, condition, signal) VALUES ('viewers', 'views', 'page_view'), ('draft', 'views', 'pricing_view');
	SELECT PIPE.activate_segment('viewers');
	INSERT INTO PIPE.sequence (sequence, starts_on, start_name) VALUES ('by_hand', 'stage', 'advocate'), ('other', 'stage', 'advocate');
	INSERT INTO PIPE.sequence_step (sequence, step, position, delay, channel, content) VALUES ('by_hand', 'one', 1, '0', 'email', 'hello'), ('other', 'one', 1, '0', 'email', 'hello');
	INSERT INTO PIPE.experiment (experiment, goal_stage, salt) VALUES ('page', 'sql', 'a');
	INSERT INTO PIPE.variant (experiment, variant, position) VALUES ('page', 'plain', 1), ('page', 'bold', 2);
	INSERT INTO PIPE.content (content, title, kind, intent) VALUES ('plan', 'A plan', 'ebook', 'solution');
	INSERT INTO PIPE.form_field (form, field, position) VALUES ('f', 'name', 1);
	INSERT INTO PIPE.cost (day_from, day_to, amount, channel) VALUES ('2025-01-01', '2025-01-31', 310, 'seo');
	INSERT INTO PIPE.assignment (owner, stage) VALUES ('ann', 'sql');
	SELECT PIPE.clone_model('inbound', 'next');
	UPDATE PIPE.rule SET points = 12 WHERE model = 'next' AND signal = 'page_view'
};
my @owner = ('-U', 'owner');
foreach my $pipeline (@pipelines)
{
	$_->safe_psql('postgres', $setup =~ s/PIPE/$pipeline/gr, extra_params => \@owner) foreach $whole, $nodes[0];
	$nodes[0]->safe_psql('postgres', "SELECT leadscore.distribute_pipeline('$pipeline', by => '$layout{$pipeline}')", extra_params => \@owner);
}
# where owners make tables
$_->safe_psql('postgres', 'SET citus.enable_ddl_propagation = off; GRANT CREATE ON SCHEMA public TO owner') foreach $whole, $nodes[1];
foreach ([ near => 1 ], [ far => 2 ])
{
	my ($pipeline, $i) = @$_;
	my $moved = sprintf "'%s', '%s', %d", $pipeline, $nodes[$i]->host, $nodes[$i]->port;
	$nodes[0]->safe_psql('postgres', "SELECT citus_schema_move($moved, 'block_writes') WHERE NOT EXISTS (
		SELECT FROM citus_shards WHERE table_name = '$pipeline.lead'::regclass AND nodeport = " . $nodes[$i]->port . ')');
}

# Calls, in an order in which they have something to do. Each has the layouts in which
# it is refused, and perhaps the node from which it works: 0 is the coordinator. No
# answer tells numbers of leads, which differ. Some are checks of another kind.
my $by_id = q{PIPE.lead_id('l3')};
my @calls = (
	[ 'lead_id', q{SELECT PIPE.lead_id('l3') IN (SELECT lead_id FROM PIPE.lead WHERE external_id = 'l3')} ],
	[ 'address_hash', q{SELECT PIPE.address_hash('ann@example.com') IS NOT NULL} ],
	[ 'period_text', q{SELECT PIPE.period_text('3 days')} ],
	[ 'track', q{SELECT score, stage, duplicate FROM PIPE.track('l3', 'page_view', occurred_at => '2025-03-01Z')} ],
	[ 'track_many', q{SELECT * FROM PIPE.track_many('[{"external_id": "l4", "kind": "page_view", "occurred_at": "2025-03-01T00:00:00Z"}, {"external_id": "l5", "kind": "page_view", "occurred_at": "2025-03-01T00:00:00Z"}]')} ],
	[ 'upsert_lead', q{SELECT PIPE.upsert_lead('l3', country => 'de', at => '2025-03-02Z') = PIPE.lead_id('l3')} ],
	[ 'set_stage', q{SELECT PIPE.set_stage('l40', 'disqualified', 'spam')} ],
	[ 'set_stage_by_id', q{SELECT PIPE.set_stage_by_id(PIPE.lead_id('l39'), 'disqualified', 'spam')} ],
	[ 'score', q{SELECT PIPE.score('l3', '2025-03-05Z')} ],
	[ 'score_by_id', qq{SELECT PIPE.score_by_id($by_id, '2025-03-05Z')} ],
	[ 'explain', q{SELECT * FROM PIPE.explain('l3', '2025-03-05Z')} ],
	[ 'explain_by_id', qq{SELECT * FROM PIPE.explain_by_id($by_id, '2025-03-05Z')} ],
	[ 'next_steps', q{SELECT * FROM PIPE.next_steps('l3')} ],
	[ 'next_steps_by_id', qq{SELECT * FROM PIPE.next_steps_by_id($by_id)} ],
	[ 'stage_at', q{SELECT PIPE.stage_at('l3', '2025-02-05Z')} ],
	[ 'stage_at_by_id', qq{SELECT PIPE.stage_at_by_id($by_id, '2025-02-05Z')} ],
	[ 'may_contact', q{SELECT PIPE.may_contact('l3', 'email')} ],
	[ 'may_contact_by_id', qq{SELECT PIPE.may_contact_by_id($by_id, 'email')} ],
	[ 'hottest', q{SELECT place, score FROM PIPE.hottest(5)} ],
	[ 'hot_leads', q{SELECT call_order, external_id, stage, score, why, contacted, breached FROM PIPE.hot_leads(5)} ],
	[ 'compare_models', q{SELECT level, leads, stage_a, stage_b, score_a, score_b FROM PIPE.compare_models('inbound', 'next') ORDER BY 1, 2, 3, 4, 5, 6} ],
	[ 'compiled_model', q{SELECT PIPE.compiled_model('next') = PIPE.compiled_model('next')} ],
	[ 'model_definition', q{SELECT PIPE.model_definition('next') - 'exported_at'} ],
	[ 'clone_model', q{SELECT PIPE.clone_model('inbound', 'third')} ],
	[ 'activate_model', q{SELECT PIPE.activate_model('next') IS NOT NULL} ],
	[ 'sweep', q{SELECT PIPE.sweep(100000) > 0} ],
	[ 'sweep_all', q{CALL PIPE.sweep_all()} ],
	[ 'verify', q{SELECT * FROM PIPE.verify()} ],
	[ 'rebuild', q{SELECT PIPE.rebuild()} ],
	[ 'rebuild_by_id', qq{SELECT PIPE.rebuild_by_id($by_id)} ],
	[ 'clone_segment', q{SELECT PIPE.clone_segment('viewers', 'copy')}, '', 0 ],
	[ 'segment_definition', q{SELECT PIPE.segment_definition('viewers')} ],
	[ 'segment_preview', q{SELECT * FROM PIPE.segment_preview('draft')} ],
	[ 'segment_preview_leads', q{SELECT count(*), count(*) FILTER (WHERE would_be_in) FROM PIPE.segment_preview_leads('draft')} ],
	[ 'activate_segment', q{SELECT PIPE.activate_segment('draft')} ],
	[ 'in_segment', q{SELECT PIPE.in_segment('l3', 'viewers')}, 'lead far' ],
	[ 'in_segment_by_id', qq{SELECT PIPE.in_segment_by_id($by_id, 'viewers')}, 'lead far' ],
	[ 'explain_segment', q{SELECT * FROM PIPE.explain_segment('l3', 'viewers')}, 'lead far' ],
	[ 'explain_segment_by_id', qq{SELECT * FROM PIPE.explain_segment_by_id($by_id, 'viewers')}, 'lead far' ],
	[ 'persona_match', q{SELECT * FROM PIPE.persona_match('l3')}, 'lead far' ],
	[ 'persona_match_by_id', qq{SELECT * FROM PIPE.persona_match_by_id($by_id)}, 'lead far' ],
	[ 'retire_segment', q{SELECT PIPE.retire_segment('draft')} ],
	[ 'funnel_between', q{SELECT stage, entered, converted, lost, open FROM PIPE.funnel_between('2025-01-01Z', '2025-06-01Z')} ],
	[ 'conversion_probability', q{SELECT probability, leads, converted, reason FROM PIPE.conversion_probability('l3', '2025-02-05Z')} ],
	[ 'conversion_probability_by_id', qq{SELECT probability, leads, converted, reason FROM PIPE.conversion_probability_by_id($by_id, '2025-02-05Z')} ],
	[ 'suggested_content', q{SELECT * FROM PIPE.suggested_content('l3')} ],
	[ 'suggested_content_by_id', qq{SELECT * FROM PIPE.suggested_content_by_id($by_id)} ],
	[ 'next_fields', q{SELECT * FROM PIPE.next_fields('l3', 'f')} ],
	[ 'next_fields_by_id', qq{SELECT * FROM PIPE.next_fields_by_id($by_id, 'f')} ],
	[ 'assign_lead', q{SELECT PIPE.assign_lead('l3', 'ann')} ],
	[ 'assign_lead_by_id', q{SELECT PIPE.assign_lead_by_id(PIPE.lead_id('l4'), 'bob')} ],
	[ 'what to learn from', q{SELECT count(PIPE.upsert_lead('g' || i, email => 'g' || i || '@example.com', consent => true, at => timestamptz '2023-01-15Z' + i % 12 * interval '30 days')) FROM generate_series(1, 360) i;
		SELECT count(PIPE.track('g' || i, k, occurred_at => t + i % 12 * interval '30 days')) FROM generate_series(1, 360) i, (VALUES ('pricing_view', timestamptz '2023-01-20Z', 5), ('purchase', '2023-02-10Z', 3)) e (k, t, n) WHERE i % 2 = 0 OR i % n = 0} ],
	# which leads are learned from depends on their numbers
	[ 'suggest_points', q{SELECT count(*), count(points_suggested) > 1 FROM PIPE.suggest_points('inbound', 'customer', '30 days', '2024-05-01Z', '2023-09-01Z', instants => 12)}, 'lead' ],
	[ 'calibrate_model', q{SELECT PIPE.calibrate_model('inbound', 'customer', '30 days', '2024-05-01Z', '2023-09-01Z') > 0}, 'lead' ],
	[ 'views', sub { check_views($_) foreach 0, 1 } ],
	# consent
	[ 'give_consent', q{SELECT PIPE.give_consent('l5', 'marketing', 'email', evidence => '{"form": "f"}', occurred_at => '2025-03-01Z')}, 'lead far' ],
	[ 'give_consent_by_id', q{SELECT PIPE.give_consent_by_id(PIPE.lead_id('l5'), 'marketing', 'phone', evidence => '{"form": "f"}', occurred_at => '2025-03-02Z')}, 'lead far' ],
	[ 'withdraw_consent', q{SELECT PIPE.withdraw_consent('l8', 'marketing', 'email', occurred_at => '2025-03-01Z')}, 'lead far' ],
	[ 'withdraw_consent_by_id', q{SELECT PIPE.withdraw_consent_by_id(PIPE.lead_id('l9'), 'marketing', 'phone', occurred_at => '2025-03-01Z')}, 'lead far' ],
	[ 'suppress', q{SELECT PIPE.suppress('a11@example.com', reason => 'manual')}, 'lead far' ],
	[ 'unsuppress', q{SELECT PIPE.unsuppress('a11@example.com')}, 'lead far' ],
	[ 'set_preferences', q{SELECT PIPE.set_preferences('l6', '{news}', '{email}', 3, 'week')}, 'lead' ],
	[ 'set_preferences_by_id', q{SELECT PIPE.set_preferences_by_id(PIPE.lead_id('l6'), '{news}', '{email}', 4, 'week')}, 'lead' ],
	[ 'preferences', q{SELECT topics, channels, max_messages, period FROM PIPE.preferences('l6')} ],
	[ 'preferences_by_id', q{SELECT topics, channels, max_messages, period FROM PIPE.preferences_by_id(PIPE.lead_id('l6'))} ],
	# people
	[ 'identify', q{SELECT PIPE.identify('visitor', 'l7')}, 'lead far' ],
	[ 'merge_leads', q{SELECT PIPE.merge_leads('l20', 'l21')}, 'lead far' ],
	[ 'merge_leads_by_id', q{SELECT PIPE.merge_leads_by_id(PIPE.lead_id('l20'), PIPE.lead_id('l22'))}, 'lead far' ],
	[ 'export_lead', q{SELECT count(*) > 5 FROM jsonb_object_keys(PIPE.export_lead('l20'))}, 'lead' ],
	[ 'export_lead_by_id', q{SELECT count(*) > 5 FROM jsonb_object_keys(PIPE.export_lead_by_id(PIPE.lead_id('l20')))}, 'lead' ],
	[ 'forget_lead', q{SELECT PIPE.forget_lead('l23')}, 'lead far' ],
	[ 'forget_lead_by_id', q{SELECT PIPE.forget_lead_by_id(PIPE.lead_id('l24'))}, 'lead far' ],
	# sequences and the queue
	[ 'sequence_preview', q{SELECT leads_now, could_begin, without_consent, without_address FROM PIPE.sequence_preview('by_hand')}, 'lead' ],
	[ 'activate_sequence', q{SELECT PIPE.activate_sequence('by_hand'); SELECT PIPE.activate_sequence('other')}, 'lead' ],
	[ 'enroll_lead', q{SELECT PIPE.enroll_lead('l1', 'by_hand')}, 'lead far' ],
	[ 'enroll_lead_by_id', q{SELECT PIPE.enroll_lead_by_id(PIPE.lead_id('l2'), 'by_hand')}, 'lead far' ],
	[ 'enroll', q{SELECT PIPE.enroll('by_hand', 'viewers')}, 'lead far' ],
	[ 'unenroll', q{SELECT PIPE.unenroll('l1', 'by_hand')}, 'lead far' ],
	[ 'unenroll_by_id', q{SELECT PIPE.unenroll_by_id(PIPE.lead_id('l2'), 'by_hand')}, 'lead far' ],
	[ 'add_action', q{SELECT PIPE.add_action('l3', 'email', 'x', dedup_key => 'x') IS NOT NULL}, 'lead' ],
	[ 'add_action_by_id', q{SELECT PIPE.add_action_by_id(PIPE.lead_id('l4'), 'phone', 'call', kind => 'task', dedup_key => 'x') IS NOT NULL}, 'lead' ],
	[ 'claim_actions', q{SELECT lead_id, action_id, attempt, external_id, content FROM PIPE.claim_actions('email', 4)}, 'lead far' ],
	[ 'action_wanted', q{SELECT PIPE.action_wanted(TOKEN0)}, 'lead far' ],
	[ 'extend_action', q{SELECT PIPE.extend_action(TOKEN0, '20 minutes')}, 'lead far' ],
	[ 'complete_action', q{SELECT PIPE.complete_action(TOKEN0, 'sent')}, 'lead far' ],
	[ 'complete_actions', q{SELECT PIPE.complete_actions('[JSON1]')}, 'lead far' ],
	[ 'fail_action', q{SELECT PIPE.fail_action(TOKEN2, 'no such address', retry => false)}, 'lead far' ],
	[ 'cancel_action', q{SELECT PIPE.cancel_action(TOKEN3, 'not wanted')}, 'lead far' ],
	[ 'pause_sequence', q{SELECT PIPE.pause_sequence('other')}, 'lead' ],
	[ 'retire_sequence', q{SELECT PIPE.retire_sequence('by_hand')}, 'lead' ],
	# experiments
	[ 'start_experiment', q{SELECT PIPE.start_experiment('page')}, 'lead' ],
	[ 'variant', q{SELECT PIPE.variant('page', 'l3')}, 'idle' ],
	[ 'variant_by_id', qq{SELECT PIPE.variant_by_id('page', $by_id)}, 'idle' ],
	[ 'expose', q{SELECT PIPE.expose('page', 'l3')}, 'lead' ],
	[ 'expose_by_id', q{SELECT PIPE.expose_by_id('page', PIPE.lead_id('l4'))}, 'lead' ],
	[ 'end_experiment', q{SELECT PIPE.end_experiment('page', 'plain')}, 'lead' ],
	# data of others
	[ 'import_mapping', q{SELECT PIPE.import_mapping('hubspot') IS NOT NULL} ],
	[ 'create_import_table', q{SELECT PIPE.create_import_table('PIPE_export', 'id,email')} ],
	[ 'import_problems', q{INSERT INTO public.PIPE_export VALUES ('7', 'c@example.com'); SELECT * FROM PIPE.import_problems('public.PIPE_export', 'export', mapping => '{"record_id": ["id"], "email": ["email"]}')} ],
	[ 'import_crm', q{SELECT * FROM PIPE.import_crm('public.PIPE_export', 'export', mapping => '{"record_id": ["id"], "email": ["email"]}', basis => 'contract')}, 'lead far' ],
	[ 'start_rebuild', q{SELECT PIPE.start_rebuild()}, 'lead far' ],
	[ 'continue_rebuild', q{CALL PIPE.continue_rebuild()}, 'lead far' ],
	[ 'purge', q{SELECT * FROM PIPE.purge('2025-01-05Z')}, 'lead far' ],
	[ 'apply_retention', q{SELECT * FROM PIPE.apply_retention()}, 'lead far' ],
	# of the extension
	[ 'leadscore.doctor', q{SELECT * FROM leadscore.doctor('PIPE') ORDER BY 1, 2} ],
	[ 'leadscore.grant_app', q{SELECT leadscore.grant_app('PIPE', 'app')}, '', 0 ],
	[ 'leadscore.grant_reader', q{SELECT leadscore.grant_reader('PIPE', 'reader')}, '', 0 ],
	[ 'leadscore.grant_sales', q{SELECT leadscore.grant_sales('PIPE', 'reader')}, '', 0 ],
	[ 'leadscore.grant_marketing', q{SELECT leadscore.grant_marketing('PIPE', 'app')}, '', 0 ],
	[ 'roles', \&check_roles ],
	[ 'functions of users', \&check_functions ],
	[ 'settings', \&check_settings ],
	[ 'move', \&check_move ],
	[ 'leadscore.add_reports', q{SELECT leadscore.add_reports('PIPE') > 0}, '', 0 ],
	[ 'leadscore.upgrade_pipeline', q{SELECT leadscore.upgrade_pipeline('PIPE') > 0}, '', 0 ],
	[ 'leadscore.detach_pipeline', q{SELECT leadscore.detach_pipeline('PIPE')}, 'lead near far', 0 ],
	[ 'leadscore.attach_pipeline', q{SELECT leadscore.attach_pipeline('PIPE')}, '', 0 ],
	[ 'leadscore.drop_pipeline', q{SELECT leadscore.drop_pipeline('PIPE')}, '', 0 ]);

# answer(NODE, PIPELINE, CALL): what it says, or its error, with the hint. What a call
# has claimed is kept for those that follow.
my %claimed;
sub answer
{
	my ($node, $pipeline, $sql) = @_;
	my @tokens = @{ $claimed{ $node->name . $pipeline } // [] };
	$sql =~ s/PIPE/$pipeline/g;
	$sql =~ s/TOKEN(\d)/$tokens[$1] || '0, 0, 0'/ge;
	$sql =~ s/JSON(\d)/sprintf '{"lead_id": %d, "action_id": %d, "attempt": %d}', split m{, }, $tokens[$1] || '0, 0, 0'/ge;
	my ($rc, $out, $err) = $node->psql('postgres', $sql, extra_params => \@owner);
	if ($sql =~ /claim_actions/)
	{
		my @rows = sort { (split /\|/, $a)[3] cmp(split /\|/, $b)[3] } split /\n/, $out;
		$claimed{ $node->name . $pipeline } = [ map { join ', ', (split /\|/)[ 0 .. 2 ] } @rows ];
		s/^\d+\|\d+\|// foreach @rows;
		$out = join "\n", @rows;
	}
	return $err =~ /ERROR:  (.*?)(?:\nCONTEXT|\z)/s ? "ERROR: $1" : $out;
}

# how it is said that a function does not work where it is called
my $by_table = qr/segments of single leads cannot be read|events of distributed tables cannot be purged|leads of a pipeline that is distributed by lead cannot be rebuilt by ranges|does not work in pipeline \w+, which is distributed/;
my %refusal = (
	lead => qr/^ERROR: (?:this function does not work in pipeline "crm", which is distributed by lead|.*$by_table).*\nHINT:  \w/s,
	far => qr/^ERROR: (?:pipeline "far" is on another node|.*$by_table).*\nHINT:  \w/s,
	near => qr/^ERROR: .*$by_table.*\nHINT:  \w/s,
	# what cannot be begun has nothing to tell
	idle => qr/^$/);

# A view as rows. What is written now has another instant on each server, and what
# counts time until now is a bit more.
sub rows
{
	my ($node, $view) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', qq{SET timezone = 'UTC'; CREATE TEMP TABLE v AS SELECT * FROM $view;
		SELECT regexp_replace((to_jsonb(v) - '{lead_id,event_id,referred_by,action_id,touch_lead_id,touch_event_id,purchase_event_id}'::text[])::text, '"[0-9-]{10}T[0-9:]{8}\\.[^"]*"', '"now"', 'g') FROM v});
	return "ERROR: $1" if $err =~ /ERROR:  (.*?)(?:\nCONTEXT|\z)/s;
	my %rows;
	foreach (split /\n/, $out)
	{
		my @numbers = /(?<=: )-?\d+\.\d+(?:e[+-]?\d+)?/g;
		push @{ $rows{s/(?<=: )-?\d+\.\d+(?:e[+-]?\d+)?/#/gr} }, \@numbers;
	}
	return \%rows;
}

# what two servers say of a view that is not the same, one line of it
sub difference
{
	my ($got, $expected) = @_;
	return $got unless ref $got;
	my ($more) = grep { @{ $got->{$_} } != @{ $expected->{$_} // [] } } sort keys %$got;
	my ($less) = grep { !$got->{$_} } sort keys %$expected;
	return "got $more" if $more;
	return "missing $less" if $less;
	foreach my $row (keys %$got)
	{
		my ($g, $e) = map { [ sort map { join ' ', @$_ } @{ $_->{$row} } ] } $got, $expected;
		foreach my $i (0 .. $#$g)
		{
			my @a = split / /, $g->[$i];
			my @b = split / /, $e->[$i];
			return "numbers of $row: @a, not @b" if grep { abs($a[$_] - $b[$_]) > 0.001 * (1 + abs $b[$_]) } 0 .. $#a;
		}
	}
	return '';
}

sub check_views
{
	my ($i) = @_;
	foreach my $pipeline (@pipelines)
	{
		foreach my $view (split /\n/, $whole->safe_psql('postgres', "SELECT oid::regclass FROM pg_class WHERE relnamespace IN ('$pipeline'::regnamespace, '${pipeline}_reports'::regnamespace) AND relkind = 'v' AND relname !~ '^_' ORDER BY relname"))
		{
			my $difference = difference(rows($nodes[$i], $view), rows($whole, $view));
			is($difference, '', "$view from node $i");
		}
	}
	return;
}

# roles with few rights: those of grant_app() and grant_reader()
sub check_roles
{
	foreach my $pipeline (@pipelines)
	{
		foreach (
			[ app => q{SELECT score, stage FROM PIPE.track('l30', 'page_view', occurred_at => '2025-04-01Z')} ],
			[ app => q{INSERT INTO PIPE.event (lead_id, kind, occurred_at) SELECT PIPE.lead_id('l31'), 'pricing_view', '2025-04-02Z'} ],
			[ app => q{SELECT PIPE.may_contact('l30', 'email'), PIPE.score('l30', '2025-04-03Z')} ],
			[ reader => q{SELECT stage, count(*) FROM PIPE.lead_score GROUP BY 1 ORDER BY 1} ],
			[ reader => q{SELECT call_order, why FROM PIPE.hot_leads ORDER BY 1} ],
			[ reader => q{SELECT count(email) FROM PIPE.lead} ],
			[ reader => q{DELETE FROM PIPE.event} ])
		{
			my ($role, $sql) = ($_->[0], $_->[1] =~ s/PIPE/$pipeline/gr);
			my @answers;
			foreach my $node ($nodes[1], $whole)
			{
				my ($rc, $out, $err) = $node->psql('postgres', $sql, extra_params => [ '-U', $role ]);
				push @answers, $err =~ /ERROR:  (permission denied for table \w+)/ ? $1 : "$out$err";
			}
			# Citus sends a query to shards, and the error is of one of these
			s/(table [a-z]+)_\d+/$1/ foreach @answers;
			is($answers[0], $answers[1], "$role in $pipeline: $sql");
		}
	}
	return;
}

# Functions of users in SQL, which PostgreSQL puts into the query, where Citus does not
# see the tables that they read.
sub check_functions
{
	foreach my $pipeline (@pipelines)
	{
		my $function = "FUNCTION public.events_of_$pipeline(after bigint DEFAULT 0) RETURNS SETOF $pipeline.event LANGUAGE sql STABLE AS";
		my $create = "CREATE $function 'SELECT * FROM $pipeline.event WHERE lead_id > after';
			CREATE FUNCTION public.counts_of_$pipeline(lead bigint) RETURNS TABLE (events bigint, kinds bigint) LANGUAGE sql STABLE AS
				'SELECT count(*), count(DISTINCT e.kind) FROM public.events_of_$pipeline(lead - 1) e WHERE e.lead_id = lead'";
		$whole->safe_psql('postgres', $create);
		$_->safe_psql('postgres', "SET citus.enable_ddl_propagation = off; $create") foreach @nodes[0, 1];
		foreach (
			"SELECT count(*) FROM events_of_$pipeline()",
			"SELECT count(DISTINCT e.lead_id), count(*) FROM $pipeline.lead l, LATERAL events_of_$pipeline(l.lead_id - 1) e WHERE e.lead_id = l.lead_id",
			"SELECT sum((SELECT f.events FROM counts_of_$pipeline(l.lead_id) f)) FROM $pipeline.lead l",
			"PREPARE p(timestamptz) AS SELECT count(*) FROM events_of_$pipeline(0) WHERE occurred_at < \$1; EXECUTE p('2025-01-20Z');
				CREATE OR REPLACE $function \$\$SELECT * FROM $pipeline.event WHERE lead_id > after AND kind = 'page_view'\$\$; EXECUTE p('2025-01-20Z')")
		{
			my $there = "LOAD 'leadscore'; " . ($_ =~ s/CREATE/SET citus.enable_ddl_propagation = off; CREATE/r);
			is($nodes[1]->safe_psql('postgres', $there), $whole->safe_psql('postgres', $_), $_);
		}
		$_->safe_psql('postgres', "SET citus.enable_ddl_propagation = off; DROP FUNCTION public.counts_of_$pipeline, public.events_of_$pipeline") foreach $whole, @nodes[0, 1];
	}
	return;
}

# settings that change who plans a query, and how
sub check_settings
{
	foreach my $pipeline (@pipelines)
	{
		foreach (map { s/PIPE/$pipeline/gr } q{SELECT score, stage FROM PIPE.track('l30', 'page_view', occurred_at => '2025-04-03Z')}, q{SELECT PIPE.score('l30', '2025-04-03Z'), PIPE.stage_at('l30', '2025-04-03Z')},
			q{SELECT count(*) FROM PIPE.explain('l30', '2025-04-03Z')})
		{
			is($nodes[1]->safe_psql('postgres', "LOAD 'leadscore'; SET plan_cache_mode = force_generic_plan; $_"), $whole->safe_psql('postgres', $_), "with generic plans: $_");
		}
	}
	my $off = "LOAD 'leadscore'; SET citus.enable_local_execution = off;";
	foreach (q{suppress('a36@example.com', reason => 'manual')}, 'start_rebuild()')
	{
		my ($rc, $out, $err) = $nodes[1]->psql('postgres', "$off SELECT near.$_");
		like($err, qr/ERROR:  this function of pipeline "near" needs citus\.enable_local_execution\nHINT:  \w/, "without local execution: $_");
	}
	my $events = 'SELECT count(*) FROM near.event';
	is($nodes[1]->safe_psql('postgres', qq{$off BEGIN; $events \\gset before_\nINSERT INTO near.event (lead_id, kind, occurred_at) SELECT lead_id, 'page_view', '2025-04-03Z' FROM near.lead WHERE external_id = 'l31';
		SELECT ($events) - :before_count; ROLLBACK}), '1', 'without local execution a transaction sees what it has written');
	return;
}

# move(I): the statement that moves near to node I
sub move
{
	my ($i) = @_;
	return sprintf "SELECT citus_schema_move('near', '%s', %d, 'block_writes')", $nodes[$i]->host, $nodes[$i]->port;
}

# moved(I): the command that does so. Citus drops what an earlier move has left on the
# node in the background, and refuses to move there meanwhile.
sub moved
{
	my ($i) = @_;
	return sprintf q{for n in 1 2 3 4 5 6 7 8 9 10; do psql -XAtq -v ON_ERROR_STOP=1 -d '%s' -c "%s" >/dev/null 2>&1 && break; sleep 1; done},
		$nodes[0]->connstr('postgres'), move($i);
}

# A pipeline is moved while sessions of a node use it: what is written is not lost,
# and what a session has planned is not used any more.
sub check_move
{
	my $events = 'SELECT count(*) FROM near.event';
	is($nodes[1]->safe_psql('postgres', q{INSERT INTO near.lead (external_id) VALUES ('l1') ON CONFLICT ON CONSTRAINT lead_external_id_key DO UPDATE SET country = 'fr' RETURNING country}),
		'fr', 'a constraint by its name');
	my $before = $nodes[1]->safe_psql('postgres', $events);
	my $writer = hold_session($nodes[1], "INSERT INTO near.event (lead_id, kind, occurred_at) SELECT near.lead_id('l32'), 'page_view', '2025-04-04Z'");
	my $mover = start_session($nodes[0], '-c', move(2));
	ok($nodes[0]->poll_query_until('postgres', q{SELECT count(*) > 0 FROM run_command_on_all_nodes($$SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted$$) r WHERE r.result <> '0'}),
		'the move waits for a session that writes');
	release($writer, 'COMMIT');
	is(finish($mover)->{err} =~ s/NOTICE.*\n//gr, '', 'then it goes on');
	is($nodes[1]->safe_psql('postgres', $events), $before + 1, 'what was written has moved, too');

	system(moved(1));
	my $script = "PREPARE p AS $events;\nPREPARE w AS INSERT INTO near.event (lead_id, kind, occurred_at) SELECT near.lead_id('l33'), 'page_view', '2025-04-05Z';\n"
		. "EXECUTE p;\nEXECUTE w;\nSELECT near.suppress('a35\@example.com', reason => 'manual');\nSELECT duplicate FROM near.track('l33', 'page_view', occurred_at => '2025-04-06Z');\n"
		. '\! ' . moved(2) . "\nEXECUTE p;\nEXECUTE w;\nSELECT duplicate FROM near.track('l33', 'page_view', occurred_at => '2025-04-07Z');\nSELECT near.unsuppress('a35\@example.com');\n"
		. '\! ' . moved(1) . "\nEXECUTE p;\nEXECUTE w;\nSELECT near.unsuppress('a35\@example.com');\nEXECUTE p;\n";
	my ($rc, $out, $err) = $nodes[1]->psql('postgres', $script, on_error_stop => 0);
	is($out, join("\n", $before + 1, 1, 'f', $before + 3, 'f', $before + 5, 1, $before + 6), 'a session goes on after moves');
	like($err, qr/ERROR:  pipeline "near" is on another node/, 'and is told where its functions do not work');
	unlike($err, qr/ERROR.*ERROR/s, 'that is all it is told');
	is($nodes[1]->safe_psql('postgres', 'SELECT * FROM near.verify()'), '', 'all is right');

	# what was moved here after the snapshot of a statement is not read as if it were nothing
	system(moved(2));
	$script = "LOAD 'leadscore';\nBEGIN ISOLATION LEVEL REPEATABLE READ;\nSELECT count(*) > 0 FROM far.lead;\n" . '\! ' . moved(1)
		. join '', map { "\nSAVEPOINT a;\nSELECT $_;\nROLLBACK TO a;" } 'count(*) FROM near.lead', "near.lead_id('l1')", "near.score('l1')", "near.forget_lead('nobody')", 'near.sweep()';
	($rc, $out, $err) = $nodes[1]->psql('postgres', $script, on_error_stop => 0);
	is($out, 't', 'a snapshot that is older than a move');
	is(scalar(() = $err =~ /ERROR:  could not serialize access due to the move of pipeline "near" to this node\n/g), 5, 'is told so');

	# a function that a task of Citus calls, here or for another node, writes too
	my $shard = $nodes[1]->safe_psql('postgres', q{SELECT shard_name FROM citus_shards WHERE table_name = 'crm.lead'::regclass AND nodeport = } . $nodes[1]->port . ' LIMIT 1');
	my $lead = $nodes[1]->safe_psql('postgres', "SELECT min(lead_id) FROM $shard");
	$_->safe_psql('postgres', q{SET citus.enable_ddl_propagation = off; CREATE FUNCTION public.holds() RETURNS bigint LANGUAGE plpgsql AS
		$$BEGIN PERFORM near.lead_id('l1'); UPDATE near.lead SET country = 'fr' WHERE external_id = 'l1'; RETURN (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory' AND objsubid <> 0); END$$}) foreach @nodes[0, 1];
	is($_->safe_psql('postgres', "SELECT public.holds() > 0 FROM crm.lead WHERE lead_id = $lead"), 't', 'a function in a task holds what it writes') foreach @nodes[1, 0];

	# a shard that was moved has no columns that were dropped
	$nodes[0]->safe_psql('postgres', 'ALTER TABLE near.lead ADD COLUMN extra text; ALTER TABLE near.lead DROP COLUMN extra');
	system(moved(2));
	is($nodes[2]->safe_psql('postgres', q{SELECT count(*) > 30 FROM near.lead_score; SELECT duplicate FROM near.track('l34', 'page_view', occurred_at => '2025-04-08Z')}), "t\nf",
		'without a column that was dropped, what Citus takes works');
	like(($nodes[2]->psql('postgres', q{SELECT near.suppress('a36@example.com', reason => 'manual')}))[2], qr/ERROR:  columns of table "lead" are not at the same places as those of its shard "lead_\d+"/, 'the rest is refused');
	return;
}

my $functions = $whole->safe_psql('postgres', q{SELECT DISTINCT proname FROM pg_proc
	WHERE pronamespace = 'crm'::regnamespace AND proname !~ '^_' AND prorettype <> 'trigger'::regtype});
my %called;
foreach (@calls)
{
	my ($name, $sql, $refused, $i) = @$_;
	$refused //= '';
	$called{$name} = 1;
	if (ref $sql)
	{
		$sql->();
		next;
	}
	foreach my $pipeline (@pipelines)
	{
		my $got = answer($nodes[ $i // 1 ], $pipeline, $sql);
		my ($why) = grep { $refused =~ /\b$_\b/ } $pipeline eq 'crm' ? ('lead', 'idle') : $pipeline;
		if ($why)
		{
			like($got, $refusal{$why}, "$name in $pipeline is refused");
		}
		else
		{
			my $expected = answer($whole, $pipeline, $sql);
			is($got, $expected =~ /^ERROR/ ? "no error, as in $expected" : $expected, "$name in $pipeline");
		}
	}
}
is(join(' ', grep { !$called{$_} } split /\n/, $functions), '', 'every function was called');
done_testing();
