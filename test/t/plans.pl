# Functions that the engine calls for leads plan without scans of whole tables.
# Up to PostgreSQL 17 the planner does so by a cost so high that it cannot tell
# plans apart any more, should one scan be left. So none may be left in a join.
# For such a cost it would compile a statement, each time: that takes longer than
# to run it.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('plans');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\nshared_preload_libraries = 'auto_explain, pg_stat_statements'\n"
	  . "auto_explain.log_min_duration = 0\nauto_explain.log_nested_statements = on\n");
$node->start;

my ($plans, %found) = (0);
foreach my $file (qw(consent sequences queue experiments one_command))
{
	my $begin = -s $node->logfile;
	$node->safe_psql('postgres', "DROP DATABASE IF EXISTS plans");
	$node->safe_psql('postgres', "CREATE DATABASE plans");
	$node->safe_psql('plans', "CREATE EXTENSION leadscore");
	# what it prints is for the test of this name
	$node->psql('plans', slurp_file("sql/$file.sql"), on_error_stop => 0);
	foreach my $plan (split /LOG:  duration: .* plan:\n/, slurp_file($node->logfile, $begin))
	{
		next unless $plan =~ /Nested Loop|Hash.* Join|Merge.* Join/;
		# the configuration is read as a whole
		next if $plan =~ /Query Text: [^\n]* FROM \S+\._watched /;
		$plans++;
		$plan = without_initplans($plan);
		next unless $plan =~ /(Seq Scan on \w+)[^\n]*(?:\(cost=1\d{10}|\n\s+Disabled: true)/;
		my $scan = $1;
		my ($query) = $plan =~ /Query Text: (.{0,80})/s;
		$found{"$scan: $query"} = 1;
	}
}

# A plan without the scans that are run once, before the whole statement or one
# of its WITH queries: their cost is added when its joins are chosen. What a
# subquery in a join runs once is a part of the cost of that subquery.
sub without_initplans
{
	my ($plan) = @_;
	my (@above, $kept, $left_out);

	foreach my $line (split /^/, $plan)
	{
		my $indent = $line =~ /^(\s*)\S/ ? length $1 : 0;

		undef $left_out if defined $left_out && $indent <= $left_out;
		pop @above while @above && $above[-1][0] >= $indent;
		$left_out //= $indent if $line =~ /^\s*InitPlan/ && (@above < 2 || $above[-2][1] =~ /^\s*CTE /);
		push @above, [ $indent, $line ];
		$kept .= $line unless defined $left_out;
	}
	return $kept;
}
cmp_ok($plans, '>', 500, 'plans of joins were logged');
is(join("\n", sort keys %found), '', 'no scan of a whole table is left in one');

# A session keeps its plans. Made for tables that were known to be small, they
# must serve when the session has filled these: each reads a few rows by an index,
# not all.
$node->safe_psql('postgres', "ALTER SYSTEM SET autovacuum = off");
$node->safe_psql('postgres', "ALTER SYSTEM SET auto_explain.log_min_duration = -1");
$node->safe_psql('postgres', "ALTER SYSTEM SET pg_stat_statements.track = 'all'");
$node->safe_psql('postgres', 'ALTER SYSTEM SET jit = off');
$node->reload;
$node->safe_psql('postgres', "CREATE DATABASE grown");
my %work = (
	'refusal' => "INSERT INTO crm.event (lead_id, kind) VALUES (:n, 'unsubscribe')",
	'bounce' => q{INSERT INTO crm.event (lead_id, kind, properties) VALUES (:n, 'email_bounced', '{"type": "hard"}')},
	'exposure' => q{INSERT INTO crm.event (lead_id, kind, properties) VALUES (:n, 'page_view', '{"experiment": "x", "variant": "a"}')},
	'correction' => "UPDATE crm.event SET occurred_at = occurred_at - interval '1 day' WHERE lead_id = :n",
	'removal' => 'DELETE FROM crm.event WHERE lead_id = :n',
	'profile' => q{UPDATE crm.lead SET profile = '{"budget": true}', email = 'q' || lead_id || '@b.example' WHERE lead_id = :n},
	'track' => q{SELECT crm.track('lead ' || :n, 'demo_request', profile => '{"budget": true}')},
	'upsert' => q{SELECT crm.upsert_lead('lead ' || :n, email => 'n' || :n || '@b.example')},
	'consent' => q{SELECT crm.give_consent_by_id(:n, 'marketing', evidence => '{"form": "f"}')},
	'consent by name' => q{SELECT crm.give_consent('lead ' || :n, 'marketing', evidence => '{"form": "f"}')},
	'withdrawal' => "SELECT crm.withdraw_consent('lead ' || :n, 'marketing')",
	'suppression' => q{SELECT crm.suppress('l' || :n || '@b.example', 'email', 'manual')},
	'preferences' => "SELECT crm.set_preferences_by_id(:n, '{news}')",
	'question' => "SELECT crm.may_contact_by_id(:n, 'email')",
	'enrollment' => "SELECT crm.enroll_lead_by_id(:n, 'welcome')",
	'action' => "SELECT crm.add_action_by_id(:n, 'email', 'x')",
	'merge' => 'SELECT crm.merge_leads_by_id(:n, :n + 1)',
	'erasure' => 'SELECT crm.forget_lead_by_id(:n)',
	'deletion' => 'DELETE FROM crm.lead WHERE lead_id = :n',
	'sweep' => 'SELECT crm.sweep(10)');
my $values = join ', ', map { "(\$w\$$_\$w\$, \$w\$$work{$_}\$w\$)" } sort keys %work;
is($node->safe_psql('grown', qq{
	CREATE EXTENSION leadscore;
	SELECT FROM leadscore.create_pipeline('crm', reports => false);
	INSERT INTO crm.experiment (experiment, goal_stage) VALUES ('x', 'sql');
	INSERT INTO crm.variant (experiment, variant, position) VALUES ('x', 'a', 1), ('x', 'b', 2);
	SELECT FROM crm.start_experiment('x');
	SELECT FROM crm.activate_sequence('welcome');
	CREATE FUNCTION public.leads(first int, last int) RETURNS void LANGUAGE sql AS \$\$
		INSERT INTO crm.lead (lead_id, external_id, email, phone, consented_at, created_at)
			SELECT i, 'lead ' || i, 'l' || i || '\@b.example', '+39 02 ' || i, now(), now() FROM generate_series(first, last) i;
		INSERT INTO crm.event (lead_id, kind) SELECT i, 'page_view' FROM generate_series(first, last) i, generate_series(1, 3);
		SELECT FROM (SELECT crm.give_consent_by_id(i, 'marketing', evidence => '{"form": "f"}') FROM generate_series(first, last) i) s;
		SELECT FROM (SELECT crm.suppress('s' || i || '\@b.example', 'email', 'manual') FROM generate_series(first, last) i) s;
		SELECT FROM (SELECT crm.add_action_by_id(i, 'email', 'x', now() + interval '1 day') FROM generate_series(first, last) i) s;
	\$\$;
	CREATE FUNCTION public.reads() RETURNS TABLE (relname name, n numeric) LANGUAGE sql AS \$\$
		SELECT relname, coalesce(idx_tup_fetch, 0) + coalesce(seq_tup_read, 0) FROM pg_stat_xact_user_tables WHERE schemaname = 'crm' \$\$;
	CREATE TABLE public.excess (what text, relname name, n numeric);
	CREATE FUNCTION public.work(first int, note boolean) RETURNS void LANGUAGE plpgsql AS \$\$
	DECLARE
		w record;
		lead int := first;
	BEGIN
		CREATE TEMP TABLE before (relname name, n numeric);
		FOR w IN SELECT * FROM (VALUES $values) AS v (what, statement) LOOP
			TRUNCATE before;
			INSERT INTO before SELECT * FROM public.reads();
			BEGIN
				EXECUTE replace(w.statement, ':n', lead::text);
			EXCEPTION
				-- of five leads some are merged or deleted
				WHEN OTHERS THEN IF note THEN RAISE; END IF;
			END;
			INSERT INTO public.excess SELECT w.what, r.relname, r.n - b.n FROM public.reads() r JOIN before b USING (relname) WHERE note AND r.n - b.n > 1000;
			lead := lead + CASE WHEN note THEN 2 ELSE 0 END;
		END LOOP;
		DROP TABLE before;
	END \$\$;
	INSERT INTO crm.lead (lead_id, external_id, email, consented_at) SELECT i, 'lead ' || i, 'l' || i || '\@b.example', now() FROM generate_series(1, 5) i;
	VACUUM ANALYZE;
	SELECT FROM generate_series(1, 5) n, public.work(n, false);
	SELECT FROM public.leads(1001, 4000);
	SELECT FROM public.work(1001, true);
	SELECT string_agg(what || ': ' || relname || ' ' || n, ', ' ORDER BY what, relname) FROM public.excess;}), '', 'plans of small tables serve for large ones');
$node->safe_psql('postgres', 'ALTER SYSTEM SET jit = on');
$node->reload;
is($node->safe_psql('grown', q{
	CREATE EXTENSION pg_stat_statements;
	SELECT FROM crm.claim_actions('email');
	SELECT FROM public.work(1501, true);
	SELECT FROM crm.create_import_table('public.contacts', 'Record ID,Email,Create Date');
	INSERT INTO public.contacts VALUES ('7', 'import@mail.example', '2025-02-01 10:00');
	SELECT FROM crm.import_crm('public.contacts', 'hubspot', basis => 'contract');
	-- the cost of a question about few leads does not grow with the number of leads
	ANALYZE;
	SET jit_above_cost = 5000;
	SELECT FROM crm.lead_score WHERE stage = 'sql';
	SELECT FROM crm.lead_score WHERE lead_id = 1501;
	SELECT FROM crm.hottest(20);
	SELECT FROM crm.hot_leads(20);
	SELECT left(query, 80) FROM pg_stat_statements WHERE jit_functions > 0 ORDER BY query}), '', 'no statement was compiled');
# Few leads are looked up one by one, by whatever finds them. No
# more of the leads is read.
my %questions = (
	'a name' => "SELECT * FROM crm.lead_score WHERE external_id = 'lead 1501'",
	'numbers' => "SELECT * FROM crm.lead_score WHERE lead_id = ANY ('{1501, 1502, 1503}')",
	'a join' => 'SELECT s.* FROM (VALUES (1501), (1503)) AS v (lead_id) JOIN crm.lead_score s USING (lead_id)',
	'a subquery' => 'SELECT * FROM crm.lead_score WHERE lead_id IN (SELECT a.lead_id FROM (SELECT a.lead_id FROM crm.action a WHERE a.action_id < 10) a)',
	'a dimension' => "SELECT d.* FROM crm.lead l JOIN crm.lead_dimension d USING (lead_id) WHERE l.external_id = 'lead 1501'");
foreach my $what (sort keys %questions)
{
	my $read = $node->safe_psql('grown', qq{
		CREATE TEMP TABLE before AS SELECT * FROM public.reads();
		SELECT FROM ($questions{$what}) q;
		SELECT string_agg(r.relname || ' ' || r.n - b.n, ', ') FROM public.reads() r JOIN before b USING (relname)
			WHERE r.n - b.n > 200 AND r.relname IN ('lead', 'lead_state')});
	is($read, '', "$what is looked up, and no other leads");
}
$node->stop;
done_testing();
