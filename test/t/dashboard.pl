# The dashboard shows what SQL says: pages of the demo, of an empty pipeline and
# of one with one lead are made by a role that grant_reader() lets read. Every
# figure is compared with a second query, in the JSON and, if Debian's chromium
# and nodejs are here, as the browser shows it, on a screen and on a phone. The
# queries of the Grafana dashboard run, too.

use strict;
use warnings;

use File::Basename;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = dirname(__FILE__) . '/../..';
my $node = PostgreSQL::Test::Cluster->new('dashboard');
$node->init;
$node->start;
my $work = $node->basedir;
my $json = JSON::PP->new->utf8;
my ($out, $err) = ('', '');
my $has_browser = eval { IPC::Run::run([ $ENV{CHROMIUM} // 'chromium', '--version' ], '>', \$out, '2>', \$err) }
	&& eval { IPC::Run::run([ 'node', '--version' ], '>', \$out, '2>', \$err) };
$node->safe_psql('postgres', 'CREATE ROLE bi LOGIN; CREATE ROLE blind LOGIN; CREATE ROLE stranger LOGIN; CREATE ROLE north LOGIN');

# make_page(DATABASE, PIPELINE, ROLE, FILE): run dashboard/make; its status.
sub make_page
{
	my ($database, $pipeline, $role, $file) = @_;
	($out, $err) = ('', '');
	return IPC::Run::run([ "$top/dashboard/make", $pipeline, '-h', $node->host, '-p', $node->port, '-U', $role, '-d', $database ],
		'>', $file, '2>', \$err);
}

# figures(FILE): the JSON in a page.
sub figures
{
	my ($file) = @_;
	my ($found) = slurp_file($file) =~ m{<script type="application/json" id="figures">\n(.*?)\n</script>}s;
	return $json->decode($found);
}

# look(NAME, WIDTH, ...): what a browser finds in these pages, on screens of
# these widths; a phone is dark.
sub look
{
	my (@pages) = @_;
	my @arguments = map { $_ % 2 == 0 ? "$work/$pages[$_].html" : ($pages[$_], $pages[$_] < 500 ? 'dark' : 'light') } 0 .. $#pages;
	($out, $err) = ('', '');
	IPC::Run::run([ 'node', "$top/test/browser.js", @arguments ], '>', \$out, '2>', \$err) or die "browser: $err";
	return @{ $json->decode($out) };
}

# The second queries. Columns of text kinds are as the page shows them; numbers
# are numbers, which the page rounds. What is made of facts is asked of them.
my $stage = q{CASE WHEN length(stage) = 3 THEN upper(stage) ELSE initcap(stage) END};
my $step = q{(SELECT string_agg(CASE WHEN w IN ('iql', 'mql', 'sql') THEN upper(w) ELSE initcap(w) END, ' to ' ORDER BY o)
	FROM unnest(string_to_array(replace(metric, '_days', ''), '_to_')) WITH ORDINALITY u (w, o))};
my $channel = q{replace(channel, '(none)', 'no channel')};
my $hot_late = q{CASE WHEN due_at IS NULL THEN NULL WHEN breached THEN 'too late' WHEN contacted THEN 'in time' ELSE 'time left' END};
my $entries = sub {
	my ($from, $to) = @_;
	return qq{(SELECT coalesce(sum(e.entered), 0) FROM stage_entry e WHERE e.stage = f.stage
		AND (e.entered_at AT TIME ZONE (SELECT time_zone FROM setting))::date BETWEEN current_date - $from AND current_date - $to)};
};
my %rows = (
	recent => qq{SELECT $stage, n, b, n::float / nullif(b, 0) - 1, leads_now
		FROM (SELECT stage, stage_rank, leads_now, @{[ $entries->(29, 0) ]} AS n, @{[ $entries->(59, 30) ]} AS b FROM funnel f) x ORDER BY stage_rank},
	funnel => qq{SELECT $stage, reached, cumulative_rate, sum(entered), sum(converted), sum(converted)::float / nullif(sum(entered), 0), sum(lost), sum(open), leads_now
		FROM (SELECT stage, reached, cumulative_rate, leads_now, stage_rank FROM funnel) f
			LEFT JOIN (SELECT stage, entered, converted, lost, open FROM stage_entry UNION ALL SELECT stage::text, 0, 0, 0, 0 FROM leadscore.stages()) e USING (stage)
		GROUP BY stage, reached, cumulative_rate, leads_now, stage_rank ORDER BY stage_rank},
	goals => qq{SELECT $step, r.numerator, r.denominator, r.numerator::float / nullif(r.denominator, 0), low_rate, high_rate, b.low, b.high,
			CASE WHEN b.metric IS NULL THEN conversion_rate ELSE benchmark_rate END, CASE WHEN b.metric IS NOT NULL THEN coalesce(benchmark_status, 'not enough data') END,
			b.source || CASE b.denominator WHEN step_from THEN '' ELSE ' (share of ' || b.denominator || ')' END
		FROM conversion_rates r LEFT JOIN benchmark b USING (metric) WHERE market = 'all' AND coalesce(b.segment, 'all') = 'all' ORDER BY place},
	steps => qq{SELECT $step, conversions, median_days, median_low_days, median_high_days, p90_days, benchmark_low_days, benchmark_high_days,
			CASE WHEN benchmark_high_days > 0 THEN coalesce(benchmark_status, 'not enough data') END, benchmark_source
		FROM conversion_times WHERE market = 'all' ORDER BY place},
	stages => q{SELECT to_char(d, 'YYYY-MM-DD'), l ->> 'visitor', l ->> 'iql', l ->> 'mql', l ->> 'sql', l ->> 'prospect', l ->> 'customer', l ->> 'advocate',
			(l ->> 'lost')::int + (l ->> 'recycled')::int + (l ->> 'disqualified')::int
		FROM (SELECT day_date AS d, jsonb_object_agg(stage, leads) AS l FROM stage_daily GROUP BY 1) x
		WHERE d IN (SELECT current_date - 14 * n FROM generate_series(0, 26) n) ORDER BY d},
	months => q{SELECT to_char(m, 'YYYY-MM'), n, cost, cost / nullif(n, 0)
		FROM (SELECT calendar_month AS m, sum(leads) AS n,
				nullif((SELECT sum(k.cost_amount) FROM cost_by_month k WHERE k.calendar_month = c.calendar_month), 0) AS cost FROM cost_per_lead c GROUP BY 1) x
		WHERE m > current_date - interval '13 months' AND m <= current_date ORDER BY m},
	cost => qq{SELECT $channel, cost, n, CASE WHEN channel <> '(none)' THEN cost / nullif(n, 0) END, sold, CASE WHEN channel <> '(none)' THEN cost / nullif(sold, 0) END
		FROM (SELECT channel, nullif((SELECT sum(k.cost_amount) FROM cost_by_month k WHERE k.channel = c.channel), 0) AS cost, sum(leads) AS n, sum(customers) AS sold
			FROM cost_per_lead c GROUP BY channel) x WHERE cost > 0 OR n > 0},
	roas => qq{SELECT $channel, earned, cost, CASE WHEN channel <> '(none)' THEN earned / cost END, earned - coalesce(cost, 0)
		FROM (SELECT coalesce(a.channel, k.channel) AS channel, coalesce(a.earned, 0) AS earned, nullif(k.cost, 0) AS cost
			FROM (SELECT channel, sum(revenue_amount) AS earned FROM attribution('linear') GROUP BY 1) a
				FULL JOIN (SELECT channel, sum(cost_amount) AS cost FROM cost_by_month GROUP BY 1) k USING (channel)) x WHERE earned <> 0 OR cost <> 0},
	time => qq{SELECT $stage, count(days_in_stage), percentile_cont(0.5) WITHIN GROUP (ORDER BY days_in_stage), percentile_cont(0.9) WITHIN GROUP (ORDER BY days_in_stage), avg(days_in_stage),
			count(open_days), percentile_cont(0.5) WITHIN GROUP (ORDER BY open_days)
		FROM (SELECT stage, stage_rank FROM funnel) f LEFT JOIN (SELECT stage, days_in_stage, open_days FROM stage_entry) e USING (stage) GROUP BY stage, stage_rank ORDER BY stage_rank},
	quality => q{SELECT CASE place WHEN 1 THEN '1st tenth' WHEN 2 THEN '2nd tenth' WHEN 3 THEN '3rd tenth' ELSE place || 'th tenth' END,
			score_from, leads, converted, converted::float / leads, low_rate, high_rate,
			sum(converted) OVER (ORDER BY place)::float / nullif(sum(converted) OVER (), 0)
		FROM model_quality((SELECT model FROM model WHERE status = 'active')) WHERE level = 'decile' AND leads > 0 ORDER BY place},
	sla => qq{SELECT who, count(*), sum((status = 'kept')::int), sum((status = 'breached')::int), sum((status = 'left')::int), sum((status = 'due')::int),
			sum((status = 'kept')::int)::float / nullif(sum((status IN ('kept', 'breached'))::int), 0),
			percentile_cont(0.5) WITHIN GROUP (ORDER BY hours), percentile_cont(0.9) WITHIN GROUP (ORDER BY hours)
		FROM (SELECT 'Asked for something' AS who, 0 AS rank, status, extract(epoch FROM responded_at - enquired_at)::float / 3600 AS hours FROM first_response WHERE clock = 'request'
			UNION ALL SELECT 'Became ' || $stage, stage_rank, status, CASE WHEN contacted_at < entered_at THEN 0 ELSE extract(epoch FROM contacted_at - entered_at)::float / 3600 END FROM sla_status) x GROUP BY who, rank ORDER BY rank},
	hot => qq{SELECT call_order, external_id, $stage, score, why, to_char(due_at, 'YYYY-MM-DD HH24:MI'), CASE contacted WHEN true THEN 'yes' ELSE 'not yet' END, $hot_late
		FROM hot_leads WHERE call_order <= 15 ORDER BY call_order});
my %facts = (
	recent => q{SELECT count(*) FROM lead_score WHERE stage_rank BETWEEN 50 AND 80
		UNION ALL SELECT unnest(ARRAY[expected_customers::numeric, forecast_amount, low_amount, high_amount]) FROM pipeline_forecast WHERE stage = 'all'},
	cost => q{WITH x AS (SELECT nullif(sum(cost_amount), 0) AS cost, sum(leads) AS n, sum(customers) AS c FROM cost_per_lead)
		SELECT unnest(ARRAY[cost, cost / nullif(n, 0), cost / nullif(c, 0)]) FROM x},
	roas => q{WITH x AS (SELECT (SELECT sum(net_amount) FROM purchases) AS earned, (SELECT nullif(sum(cost_amount), 0) FROM cost_by_month) AS cost) SELECT unnest(ARRAY[earned, cost, earned / cost]) FROM x},
	quality => q{SELECT unnest(ARRAY[model, auc::text, auc_low::text, auc_high::text]) FROM model m, model_quality(m.model) q WHERE status = 'active' AND level = 'summary'},
	hot => q{SELECT count(*) FROM hot_leads UNION ALL SELECT count(*) FROM hot_leads WHERE NOT contacted UNION ALL SELECT count(*) FROM hot_leads WHERE breached});

# ask(DATABASE, PIPELINE): the rows and facts of all figures by the second queries.
sub ask
{
	my ($database, $pipeline) = @_;
	my $name = $pipeline =~ s/"/""/gr;
	my %answer;
	my $script = qq{SET search_path = "$name", "${name}_reports"; SELECT set_config('timezone', time_zone, false) FROM setting \\g /dev/null\n};
	foreach (map({ [ 'rows', $_, $rows{$_} ] } sort keys %rows), map({ [ 'facts', $_, $facts{$_} ] } sort keys %facts))
	{
		my ($what, $id, $query) = @$_;
		# a row as an array, so that NULL and text stay apart
		my $columns = $what eq 'facts' ? 1 : scalar @{ (grep { $_->{id} eq $id } @{ $main::columns })[0]{columns} };
		my $names = join ', ', map { "c$_" } 1 .. $columns;
		$script .= "SELECT json_build_array('$what', '$id', json_build_array($names)) FROM ($query) q ($names);\n";
	}
	foreach my $line (split /\n/, $node->safe_psql($database, $script))
	{
		my ($what, $id, $values) = @{ $json->decode($line) };
		push @{ $answer{$what}{$id} }, $what eq 'facts' ? $values->[0] : $values;
	}
	return \%answer;
}

# shown(TEXT, KIND, MISSING, VALUES): whether the text says one of the values,
# or lies between them: time passes while the page is made.
sub shown
{
	my ($text, $kind, $missing, @values) = @_;
	return 1 if grep { !defined $_ && $text eq ($missing // 'not enough data') } @values;
	@values = grep { defined } @values;
	return 0 unless @values;
	return scalar grep { $text eq $_ } @values if $kind =~ /^(text|stage|step|channel|tenth|clock)$/;
	return 0 unless $text =~ /^[+-]?(\d+(?:,\d{3})*(?:\.(\d+))?)(?: (%|days|hours|EUR))?$/ && $text !~ /^-0(\.0+)?\b(?! ?%)/;
	my ($number, $half, $unit) = ($1, 0.5 / 10**length($2 // ''), $3 // '');
	$number =~ tr/,//d;
	$number = -$number if $text =~ /^-/;
	my %unit = (rate => '%', change => '%', money => 'EUR', hours => 'hours');
	return 0 if $kind eq 'days' ? $unit !~ /^(days|hours)$/ : $unit ne ($unit{$kind} // '');
	my $times = $unit eq '%' ? 100 : $kind eq 'days' && $unit eq 'hours' ? 24 : 1;
	my ($low, $high) = sort { $a <=> $b } map { $_ * $times } @values[ 0, -1 ];
	return $number >= $low - $half - 1e-6 && $number <= $high + $half + 1e-6;
}

# label(VALUE, KIND, MISSING): a value of the JSON as the page may show it.
sub label
{
	my ($value, $kind, $missing) = @_;
	return $missing // 'not enough data' unless defined $value;
	my $stage = sub { length $_[0] == 3 ? uc $_[0] : ucfirst $_[0] };
	my %label = (
		text => sub { $value },
		stage => sub { $stage->($value) },
		step => sub { join ' to ', map { $stage->($_) } split /_to_/, $value =~ s/_days$//r },
		channel => sub { $value eq '(none)' ? 'no channel' : $value },
		tenth => sub { $value . ({ 1 => 'st', 2 => 'nd', 3 => 'rd' }->{$value} // 'th') . ' tenth' },
		clock => sub { $value eq 'request' ? 'Asked for something' : 'Became ' . $stage->($value) },
		count => sub { $value },
		rate => sub { sprintf '%.6f %%', 100 * $value },
		change => sub { sprintf '%+.6f %%', 100 * $value },
		money => sub { sprintf '%.2f EUR', $value },
		days => sub { sprintf '%.6f days', $value },
		hours => sub { sprintf '%.6f hours', $value });
	return ($label{$kind} // sub { sprintf '%.4f', $value })->();
}

# labels(FIGURES): rows and facts of the JSON as compare() wants them.
sub labels
{
	my %shown;
	foreach my $figure (@{ $_[0]{figures} })
	{
		my @kinds = map { [ @$_[ 2, 3 ] ] } @{ $figure->{columns} };
		$shown{ $figure->{id} } = {
			rows => [ map { my $row = $_; [ map { label($row->[$_], @{ $kinds[$_] }) } 0 .. $#kinds ] } @{ $figure->{rows} } ],
			facts => [ map { [ $_->[0], label(@$_[ 2, 1, 3 ]) ] } @{ $figure->{facts} } ] };
	}
	return \%shown;
}

# compare(NAME, SHOWN, FIGURES, BEFORE, AFTER): every cell and fact. SHOWN has by
# figure rows and facts as the page shows them.
sub compare
{
	my ($name, $shown, $figures, $before, $after) = @_;
	my (@wrong, $cells);
	foreach my $figure (@{ $figures->{figures} })
	{
		my $id = $figure->{id};
		my @sets = ([ [ map { $_->{rows}{$id} // [] } $before, $after ], $shown->{$id}{rows}, [ map { [ @$_[ 2, 3 ] ] } @{ $figure->{columns} } ] ]);
		# rows of channels come in the order of a figure
		if ($id =~ /^(cost|roas)$/)
		{
			my %place = map { $shown->{$id}{rows}[$_][0] => $_ } 0 .. $#{ $shown->{$id}{rows} };
			$_ = [ sort { ($place{ $a->[0] } // -1) <=> ($place{ $b->[0] } // -1) } @$_ ] foreach @{ $sets[0][0] };
		}
		push @wrong, "$id: " . @{ $sets[0][1] } . ' rows' if !grep { @$_ == @{ $sets[0][1] } } @{ $sets[0][0] };
		for my $r (0 .. $#{ $sets[0][1] })
		{
			for my $c (0 .. $#{ $figure->{columns} })
			{
				my @values = map { $_->[$r][$c] } @{ $sets[0][0] };
				$cells++;
				push @wrong, "$id, row $r, $figure->{columns}[$c][0]: $sets[0][1][$r][$c], not " . join(' or ', map { $_ // 'NULL' } @values)
					unless shown($sets[0][1][$r][$c], @{ $sets[0][2][$c] }, @values);
			}
		}
		my @facts = @{ $figure->{facts} };
		push @wrong, "$id: facts" unless @facts == @{ $shown->{$id}{facts} } && @facts == @{ $after->{facts}{$id} // [] };
		for my $f (0 .. $#facts)
		{
			$cells++;
			push @wrong, "$id, $facts[$f][0]: $shown->{$id}{facts}[$f][1]"
				unless shown($shown->{$id}{facts}[$f][1], @{ $facts[$f] }[ 1, 3 ], map { $_->{facts}{$id}[$f] } $before, $after);
		}
	}
	is(join("\n", @wrong), '', "$name: all of $cells figures are those of SQL");
	return $cells;
}

# look_closely(NAME, CHARTS, BEFORE, AFTER, WIDTH...): a page in a browser, on
# screens of these widths. It returns what was found.
sub look_closely
{
	my ($name, $charts, $before, $after, @widths) = @_;
	my $figures = figures("$work/$name.html");
	my @found = look(map { ($name, $_) } @widths);
	foreach my $found (@found)
	{
		my $width = $found->{width};
		my %section = %{ $found->{sections} };
		my $where = "$name, $width pixels";

		is_deeply($found->{said}, [], "$where: no message on the console");
		is_deeply($found->{requests}, [], "$where: nothing is asked of the network");
		is("$found->{wider} $found->{wider_open} @{ $found->{sticking_out} }", '0 0 ', "$where: nothing is wider than the screen");
		is_deeply($found->{unlabelled}, [], "$where: figures and tables have names");
		cmp_ok($found->{pdf_bytes}, '>', 20000, "$where: it can be printed");
		is(join(' ', sort keys %section), join(' ', sort map { $_->{id} } @{ $figures->{figures} }), "$where: all figures are there");
		compare($where, \%section, $figures, $before, $after);

		my @drawn = grep { $section{$_}{chart} } sort keys %section;
		is(scalar @drawn, $charts, "$where: so many charts") if defined $charts;
		is(join(' ', grep { my $c = $section{$_}{chart}; !$c->{drawn} || $c->{width} < 250 || $c->{width} > $c->{room} + 1 || @{ $c->{cut} } } @drawn), '', "$where: charts are drawn and whole");
		# a number in a sentence is one of a table
		my @alien;
		foreach my $id (sort keys %section)
		{
			my %known = map { $_ => 1 } ($id eq 'recent' ? 30 : ()), map { /\d[\d,.]*\d|\d/g } map { @$_ } @{ $section{$id}{rows} }, @{ $section{$id}{facts} };
			push @alien, map { "$id: $_" } grep { !$known{$_} } $section{$id}{says} =~ /\d[\d,.]*\d|\d/g;
		}
		is(join(' ', @alien), '', "$where: numbers in sentences are in the tables");
	}
	return @found;
}

# The demo, with names that are not made for HTML, by a role that sees no addresses.
$node->safe_psql('postgres', 'CREATE DATABASE demo');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-v', 'visitors=6000', '-d', $node->connstr('demo'), '-o', '/dev/null',
		'-f', "$top/test/demo/10-load.sql", '-f', "$top/test/demo/65-report.sql" ], 'the demo is loaded');
my $nasty = q{</script><img src=x onerror="document.title='hit'"><!-- <script> & \u003c '};
$node->safe_psql('demo', sprintf(q{
	SELECT set_config('test.name', $name$%s$name$, false);
	INSERT INTO crm.channel (channel) VALUES (current_setting('test.name'));
	INSERT INTO crm.lead (external_id, email, channel, consented_at) VALUES (current_setting('test.name'), 'hidden@nasty.example', current_setting('test.name'), now() - interval '1 hour');
	SELECT crm.set_stage(current_setting('test.name'), 'sql');
	INSERT INTO crm.event (lead_id, kind, occurred_at, value) SELECT lead_id, 'purchase', now() - interval '1 day', 70 FROM crm.lead WHERE external_id = 'visitor-77';
	INSERT INTO crm.cost (day_from, day_to, channel, category, amount) VALUES (current_date - 9, current_date - 9, current_setting('test.name'), 'media', 50);
	SELECT leadscore.grant_reader('crm', r) FROM unnest('{bi,blind,north}'::text[]) r;
	REVOKE SELECT ON crm.lead_score FROM blind;}, $nasty));
ok(make_page('demo', 'crm', 'bi', "$work/demo.html"), 'a reader makes the page') or diag($err);
my $page = slurp_file("$work/demo.html");
my $figures = figures("$work/demo.html");
our $columns = $figures->{figures};
my $echarts = $page =~ /echarts/ && length $page > 500_000;
note($echarts ? 'with charts' : "tables only: $err");

my $before = ask('demo', 'crm');
ok(make_page('demo', 'crm', 'bi', "$work/demo.html"), 'and again');
my $after = ask('demo', 'crm');
$page = slurp_file("$work/demo.html");
is(() = $page =~ m{</script>}g, 3, 'no name ends a script');
unlike($page =~ s{<script.*?</script>}{}gsr, qr/(?:src|href)=(?!"(?:data:|#))|url\(|\@import/, 'it loads nothing');
my @personal = split /\n/, $node->safe_psql('demo', q{SELECT DISTINCT p FROM crm.lead, unnest(ARRAY[email, phone, organization]) p WHERE p <> ''});
cmp_ok(scalar @personal, '>', 100, 'there is personal data');
is(join(' ', grep { index($page, $_) >= 0 } @personal), '', 'but not in the page');

# what the browser should show, made of the JSON here
ok($figures->{all_leads}, 'this role sees all leads');
is(scalar(grep { $_->{rows} && @{ $_->{rows} } } @{ $figures->{figures} }), 12, 'there are twelve figures');
cmp_ok($figures->{figures}[0]{facts}[0][2], '>', 50, 'of many leads');

# two other roles
ok(make_page('demo', 'crm', 'blind', "$work/blind.html"), 'a role without lead_score makes the page') or diag($err);
unlike(slurp_file("$work/blind.html"), qr/visitor-\d/, 'without names');
like($page, qr/visitor-\d/, 'which another role sees');
ok(!make_page('demo', 'crm', 'stranger', "$work/stranger.html"), 'a role without rights does not');
like($err, qr/there is no such pipeline, or this role may not read it\nHINT: /, 'and is told why');
is(-s "$work/stranger.html", 0, 'nothing is written');

$node->safe_psql('demo', q{SELECT leadscore.create_pipeline('bare', reports => false), leadscore.create_pipeline('modelless', 'empty')});
ok(!make_page('demo', 'bare', $node->safe_psql('demo', 'SELECT current_user'), "$work/bare.html"), 'a pipeline without reports has no page');
like($err, qr/this pipeline has no reports\nHINT: .*add_reports/, 'which is said');
ok(make_page('demo', 'modelless', $node->safe_psql('demo', 'SELECT current_user'), "$work/modelless.html"), 'one without a model has') or diag($err);

# a role that row security shows one country only
$node->safe_psql('postgres', 'CREATE DATABASE part TEMPLATE demo');
$node->safe_psql('part', q{
	ALTER TABLE crm.lead ENABLE ROW LEVEL SECURITY;
	CREATE POLICY north ON crm.lead FOR SELECT TO north USING (country = 'DE');});
ok(make_page('part', 'crm', 'north', "$work/part.html"), 'a role that sees a part of the leads makes the page') or diag($err);
ok(!figures("$work/part.html")->{all_leads}, 'which says so');

# an empty pipeline whose name needs quotes, and one lead
foreach my $database ('empty', 'one')
{
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database, q{CREATE EXTENSION leadscore; SELECT leadscore.create_pipeline('The "CRM"'), leadscore.grant_reader('The "CRM"', 'bi')});
}
$node->safe_psql('one', q{SELECT "The ""CRM""".track('ann', 'newsletter_signup', profile => '{"email": "a@b.example", "consent": true}')});
my %answers = (demo => [ $before, $after ]);
foreach my $database ('empty', 'one')
{
	my $first = ask($database, 'The "CRM"');
	ok(make_page($database, 'The "CRM"', 'bi', "$work/$database.html"), "$database: the page is made") or diag($err);
	$answers{$database} = [ $first, ask($database, 'The "CRM"') ];
}
compare("$_, JSON", labels(figures("$work/$_.html")), figures("$work/$_.html"), @{ $answers{$_} }) foreach sort keys %answers;
{
	local $ENV{ECHARTS} = '';
	ok(make_page('demo', 'crm', 'bi', "$work/tables.html"), 'tables only') or diag($err);
	cmp_ok(-s "$work/tables.html", '<', 100_000, 'is a small page');
}

SKIP:
{
	skip 'chromium or nodejs is not here', 1 unless $has_browser;
	my ($demo) = look_closely('demo', $echarts ? 11 : 0, @{ $answers{demo} }, 1280, 360);
	is($demo->{title}, 'crm: leads and funnel', 'no name is a script');
	ok(grep({ $_->[1] eq $nasty } @{ $demo->{sections}{hot}{rows} }), 'the name of a lead is shown as it is');
	ok(grep({ $_->[0] eq $nasty } @{ $demo->{sections}{cost}{rows} }), 'and that of a channel');
	ok(!$demo->{partial}, 'nothing is hidden');
	look_closely('tables', 0, $after, ask('demo', 'crm'), 360);
	my ($empty) = look_closely('empty', undef, @{ $answers{empty} }, 360);
	unlike(join(' ', map { @$_ } @{ $empty->{sections}{goals}{rows} }), qr/(?<!\d)0\.0 %/, 'a rate of nothing is not 0');
	look_closely('one', undef, @{ $answers{one} }, 1280);
	my ($part, $modelless) = look('part', 360, 'modelless', 1280);
	ok($part->{partial}, 'but of a part the page says so');
	is("@{ $modelless->{said} } $modelless->{sections}{quality}{facts}[0][1]", ' no model is active', 'so does a page without a model');
}

# the page of documentation lists the figures
my $doc = slurp_file("$top/doc/dashboard.md");
my @titles = slurp_file("$top/dashboard/page.html") =~ /^\t\ttitle: '(.*?)', counted/mg;
is(scalar @titles, 12, 'twelve titles');
is(join('; ', ($doc =~ /^\| (?!figure \|)([A-Z].*?) \|/mg)), join('; ', sort { index($doc, "| $a |") <=> index($doc, "| $b |") } @titles), 'doc/dashboard.md explains all figures');

# Grafana: every query runs, as the reader, with macros as the data source has them
my $grafana = $json->decode(slurp_file("$top/dashboard/grafana.json"));
my @targets = map { my $panel = $_; map { [ $panel->{title}, $_->{rawSql} ] } @{ $panel->{targets} // [] } } @{ $grafana->{panels} };
cmp_ok(scalar @targets, '>=', 12, 'the Grafana dashboard has queries');
foreach my $target (@targets)
{
	my ($title, $query) = @$target;
	$query =~ s/\$__timeFilter\(([^)]*)\)/$1 BETWEEN '2020-01-01T00:00:00Z' AND '2100-01-01T00:00:00Z'/g;
	foreach (['demo', 'crm', 'crm_reports'], ['empty', '"The ""CRM"""', '"The ""CRM""_reports"'])
	{
		my ($database, $pipeline, $reports) = @$_;
		my $run = $query =~ s/\$\{pipeline:raw\}/$pipeline/gr =~ s/\$\{reports:raw\}/$reports/gr;
		unlike($run, qr/\$/, "$title: no macro is unknown");
		my ($status, $answer, $errors) = $node->psql($database, $run, extra_params => [ '-U', 'bi' ]);
		ok($status == 0 && ($database eq 'empty' || $answer ne ''), "$title runs in $database") or diag($errors);
	}
}

$node->stop;
done_testing();
