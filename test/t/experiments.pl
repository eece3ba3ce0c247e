# Experiments outside of the database: the hash of variant() is the same in
# Python and JavaScript, by the programs of doc/experiments.md, and the
# statistics are those of R. What is not installed is skipped.

use strict;
use warnings;

use File::Basename;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('experiments');
$node->init;
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION leadscore;
	SELECT leadscore.create_pipeline('crm');
	INSERT INTO crm.experiment (experiment, salt, goal_stage) VALUES ('even', 'salt', 'sql'), ('odd', 'größer: "x"', 'sql');
	INSERT INTO crm.variant (experiment, variant, position, weight) VALUES ('even', 'a', 1, 1), ('even', 'b', 2, 1),
		('odd', 'a', 1, 333333), ('odd', 'none', 2, 0), ('odd', 'b', 3, 7), ('odd', 'c', 4, 1000000);
	SELECT crm.start_experiment(experiment) FROM crm.experiment;
	CREATE TABLE names AS SELECT n FROM (
		SELECT 'visitor-' || i AS n FROM generate_series(1, 2000) i
		UNION ALL SELECT 'zoë ' || i || ' 李 🙂' FROM generate_series(1, 500) i
		UNION ALL SELECT i || '@example.com' FROM generate_series(1, 500) i) x;
});

# both programs are those that the page shows
my $page = slurp_file(dirname(__FILE__) . '/../../doc/experiments.md');
utf8::decode($page);
my ($python) = $page =~ /```python\n(.*?)```/s;
my ($javascript) = $page =~ /```javascript\n(.*?)```/s;
my %program = (
	python3 => $python . q{
import json, sys
for line in sys.stdin:
    salt, weights, name = json.loads(line)
    print(variant(salt, name, weights))
},
	node => $javascript . q{
for (const line of require('fs').readFileSync(0, 'utf8').split('\n').filter(Boolean)) {
  const [salt, weights, name] = JSON.parse(line)
  console.log(variant(salt, name, weights))
}
});
my $questions = $node->safe_psql('postgres', q{
	SELECT jsonb_build_array(x.salt, (SELECT jsonb_agg(jsonb_build_array(v.variant, v.weight) ORDER BY v.position) FROM crm.variant v WHERE v.experiment = x.experiment), n)
	FROM crm.experiment x, names ORDER BY x.experiment, n COLLATE "C"});
my $answers = $node->safe_psql('postgres', q{SELECT crm.variant(x.experiment, n) FROM crm.experiment x, names ORDER BY x.experiment, n COLLATE "C"});
is(scalar(split /\n/, $answers), 6000, 'so many names were asked for');
is(join(' ', sort { $a cmp $b } keys %{ { map { $_ => 1 } split /\n/, $answers } }), 'a b c', 'all variants with a weight occur');
foreach my $language (sort { $a cmp $b } keys %program)
{
  SKIP:
	{
		skip "$language is not installed", 1 if system("$language --version >/dev/null 2>&1") != 0;
		my $file = PostgreSQL::Test::Utils::tempdir() . "/variant_$language.js";
		my $input = PostgreSQL::Test::Utils::tempdir() . "/questions_$language";
		my $program = $program{$language};
		utf8::encode($program);
		append_to_file($file, $program);
		append_to_file($input, "$questions\n");
		my $output = `PYTHONIOENCODING=utf-8 PYTHONUTF8=1 $language $file < $input`;
		chomp $output;
		ok($output eq $answers, "$language gives the same variants");
	}
}

# R computes everything by other means
SKIP:
{
	skip 'R is not installed', 1 if system('Rscript --version >/dev/null 2>&1') != 0;
	my (@sql, @r);
	foreach my $z (-8, -2.5, 0, 0.3, 1.96, 6, 30)
	{
		push @sql, "leadscore_internal.normal_tail($z)";
		push @r, "pnorm($z, lower.tail = FALSE)";
	}
	foreach my $p (1e-12, 0.0001, 0.024, 0.3, 0.5, 0.77, 0.9999999)
	{
		push @sql, "leadscore_internal.normal_quantile($p)";
		push @r, "qnorm($p)";
	}
	foreach my $df (1, 2, 3, 4, 9, 30, 101)
	{
		foreach my $x (0.01, 1, 3.84, 25, 150)
		{
			push @sql, "leadscore_internal.chi_square_tail($x, $df)";
			push @r, "pchisq($x, $df, lower.tail = FALSE)";
		}
	}
	foreach my $b ([ 121, 881, 151, 851 ], [ 11, 91, 16, 86 ], [ 3, 5, 2, 9 ], [ 1, 1, 1, 1 ], [ 1001, 9001, 1051, 8951 ], [ 40, 2, 77, 9 ])
	{
		my ($a1, $b1, $a2, $b2) = @$b;
		push @sql, "leadscore_internal.beta_greater($a1, $b1, $a2, $b2)", "leadscore_internal.beta_loss($a1, $b1, $a2, $b2)";
		push @r, "i(function(x) dbeta(x, $a2, $b2) * pbeta(x, $a1, $b1))",
		  "i(function(x) pbeta(x, $a2, $b2) * pbeta(x, $a1, $b1, lower.tail = FALSE))";
	}
	push @sql, q{leadscore_internal.ratio_chi_square('{520,480,10}', '{1,1,0}')}, q{leadscore_internal.ratio_chi_square('{520,480,310}', '{5,5,3}')};
	push @r, '0', 'chisq.test(c(520, 480, 310), p = c(5, 5, 3) / 13)$p.value';
	push @sql, q{leadscore_internal.ratio_log_bayes('{520,480,310}', '{5,5,3}')};
	push @r, 'local({n <- c(520, 480, 310); t <- c(5, 5, 3) / 13; a <- 100 * t; lgamma(100) - lgamma(100 + sum(n)) + sum(lgamma(a + n) - lgamma(a)) - sum(n * log(t))})';
	my $file = PostgreSQL::Test::Utils::tempdir() . '/statistics.R';
	append_to_file($file, "i <- function(f) sum(sapply(seq(0, 0.999, 0.001), function(a) integrate(f, a, a + 0.001, rel.tol = 1e-12, subdivisions = 1000)\$value))\n"
		. "cat(sprintf('%.15g', c(" . join(",\n", @r) . ")), sep = '\\n')\n");
	my @theirs = split /\n/, `Rscript $file`;
	my @ours = split /\n/, $node->safe_psql('postgres', 'SELECT unnest(ARRAY[' . join(', ', @sql) . '])');
	is(scalar(@theirs), scalar(@ours), 'R answers all');
	my @wrong = grep { abs($ours[$_] - $theirs[$_]) > 1e-9 * (1 + abs($theirs[$_])) } 0 .. $#ours;
	is(join("\n", map { "$sql[$_] = $ours[$_], in R $theirs[$_]" } @wrong), '', 'the statistics are those of R');
}

done_testing();
