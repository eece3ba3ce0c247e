# Leads that are spread over databases, by hash partitions on foreign servers:
# what the databases count adds up to what one database with all leads counts.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('merge');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\njit = off\n");
$node->start;
if ($node->safe_psql('postgres', "SELECT count(*) FROM pg_available_extensions WHERE name = 'postgres_fdw'") eq '0')
{
	$node->stop;
	plan skip_all => 'postgres_fdw is not installed';
}
my @parts = ('part0', 'part1');
$node->safe_psql('postgres', 'CREATE DATABASE whole');
$node->safe_psql('whole', "CREATE EXTENSION leadscore; SELECT leadscore.create_pipeline('p', 'inbound')");
$node->safe_psql('postgres', "CREATE DATABASE $_ TEMPLATE whole") foreach @parts;
my $sql = 'CREATE EXTENSION postgres_fdw; CREATE SCHEMA parts;'
	. join '', map { "CREATE TABLE parts.$_ (LIKE p.$_ INCLUDING DEFAULTS) PARTITION BY HASH (lead_id);" } 'lead', 'event';
foreach my $i (0 .. $#parts)
{
	my $part = $parts[$i];
	$sql .= "CREATE SERVER $part FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '" . $node->host . "', port '" . $node->port . "', dbname '$part', extensions 'leadscore', batch_size '1000');"
		. "CREATE USER MAPPING FOR CURRENT_USER SERVER $part; CREATE SCHEMA $part;"
		. "IMPORT FOREIGN SCHEMA p LIMIT TO (lead_state, stage_entry, funnel) FROM SERVER $part INTO $part;"
		. "IMPORT FOREIGN SCHEMA p_reports LIMIT TO (lead_dim) FROM SERVER $part INTO $part;"
		. join '', map { "CREATE FOREIGN TABLE parts.$_$i PARTITION OF parts.$_ FOR VALUES WITH (MODULUS 2, REMAINDER $i) SERVER $part OPTIONS (schema_name 'p', table_name '$_');" } 'lead', 'event';
}
$sql .= join '', map { "CREATE VIEW parts.$_ AS " . join(' UNION ALL ', map { my $part = $_; "SELECT * FROM $part.\$" } @parts) =~ s/\$/$_/gr . ';' }
	'lead_state', 'stage_entry', 'funnel', 'lead_dim';
$node->safe_psql('whole', $sql);

# the same into one pipeline and into all parts
foreach my $schema ('p', 'parts')
{
	$node->safe_psql('whole', qq{
		INSERT INTO $schema.lead (lead_id, external_id, email, channel, organization, consented_at, created_at, updated_at)
			SELECT i, 'lead ' || i, 'a\@example.com', (ARRAY['seo', 'social', NULL])[i % 3 + 1], 'firm ' || i % 7, t, t, t
			FROM generate_series(1, 200) i, LATERAL (SELECT timestamptz '2024-01-01 12:00Z' + i * interval '1 day') AS c (t);
		INSERT INTO $schema.event (lead_id, event_id, kind, occurred_at)
			SELECT i, 100 * i + n, kind, timestamptz '2024-01-01 12:00Z' + i * interval '1 day' + n * interval '5 hours' AS at
			FROM generate_series(1, 200) i,
				unnest('{pricing_view,case_study_download,demo_request,sales_contact,purchase,recycled,quote_request,lost}'::text[]) WITH ORDINALITY k (kind, n)
			WHERE n <= i % 9 AND (i + n) % 5 > 0
			ORDER BY at});
}
cmp_ok($node->safe_psql($_, 'SELECT count(*) FROM p.lead'), '>', 80, "$_ has leads") foreach @parts;
is($node->safe_psql($_, 'SELECT count(*) FROM p.verify()'), '0', "$_: verify() is empty") foreach @parts;

# Two queries, the first of which must have more rows than so many, agree.
sub agree
{
	my ($what, $more, $whole, $merged) = @_;
	my $expected = $node->safe_psql('whole', $whole);
	cmp_ok(scalar(split /\n/, $expected), '>', $more, "$what: rows");
	is($node->safe_psql('whole', $merged), $expected, $what);
}
my $counts = join ', ', map { "sum($_)::bigint AS $_" } qw(leads_now entered entered_directly converted lost open reached resolved matured matured_converted);
my $columns = 'stage, stage_rank, leads_now, entered, entered_directly, converted, lost, open, reached, resolved, matured, matured_converted,
	step_rate, cumulative_rate, resolved_rate, matured_rate, step_low_rate, step_high_rate';
agree('funnel', 6, "SELECT $columns FROM p.funnel ORDER BY stage_rank",
	# rates do not add up, they are computed from the sums
	"SELECT stage, stage_rank, leads_now, entered, entered_directly, converted, lost, open, reached, resolved, matured, matured_converted,
		converted::float8 / nullif(entered, 0), reached::float8 / nullif(max(reached) OVER (), 0), converted::float8 / nullif(resolved, 0),
		matured_converted::float8 / nullif(matured, 0), leadscore_internal.rate_low(converted, entered), leadscore_internal.rate_high(converted, entered)
		FROM (SELECT stage, stage_rank, $counts FROM parts.funnel GROUP BY 1, 2) f ORDER BY stage_rank");
my $cohort = 'SELECT stage, stage_rank, channel, entered_month, sum(entered), sum(entered_directly), sum(converted), sum(lost), sum(open), sum(matured), sum(matured_converted),
	count(DISTINCT lead_id), min(entered_at), max(left_at) FROM %s.stage_entry GROUP BY 1, 2, 3, 4 ORDER BY 2, 3, 4';
agree('stage_entry', 50, sprintf($cohort, 'p'), sprintf($cohort, 'parts'));
# activities add up: in all, and to those of organizations, which have scores
agree('sum of activities', 0, 'SELECT sum(activity) FROM p.lead_state',
	'SELECT sum(part) FROM (' . join(' UNION ALL ', map { "SELECT sum(activity) AS part FROM $_.lead_state" } @parts) . ') s');
my $score = "leadscore.score(sum(activity), (SELECT compiled FROM p.model WHERE status = 'active'), '2024-04-01')";
my $activity = 'SELECT organization, sum(activity) AS activity FROM %1$s.lead_dim JOIN %1$s.lead_state USING (lead_id) GROUP BY 1';
agree('scores of organizations', 6, "SELECT organization, $score FROM p.lead JOIN p.lead_state USING (lead_id) GROUP BY 1 ORDER BY 1",
	"SELECT organization, $score FROM (" . join(' UNION ALL ', map { sprintf $activity, $_ } @parts) . ') s GROUP BY 1 ORDER BY 1');
$node->stop;
done_testing();
