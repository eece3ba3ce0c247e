# Eight clients insert ten events of random leads in each statement, in any
# order: no deadlocks, and nothing is lost. CONCURRENCY_SECONDS, default 5.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seconds = $ENV{CONCURRENCY_SECONDS} || 5;
my $node = PostgreSQL::Test::Cluster->new('concurrency');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\nlog_lock_waits = off\n");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION leadscore;
	SELECT leadscore.create_pipeline('p', 'inbound');
	INSERT INTO p.lead (external_id, email, consented_at, created_at, updated_at)
		SELECT 'lead ' || i, 'a@example.com', '2025-01-01', '2025-01-01', '2025-01-01' FROM generate_series(1, 50) i;
});
my $dir = PostgreSQL::Test::Utils::tempdir;
append_to_file("$dir/insert.sql", q{
INSERT INTO p.event (lead_id, kind, occurred_at)
	SELECT 1 + floor(random() * 50)::int, (ARRAY['pricing_view', 'purchase', 'lost', 'unknown', 'recycled'])[1 + i % 5], '2025-02-01'::timestamptz + i * interval '1 hour'
	FROM generate_series(1, 10) i;
});
append_to_file("$dir/track.sql", q{
\set lead random(1, 60)
SELECT FROM p.track('lead ' || :lead, 'demo_request', profile => '{"need": true}');
});
append_to_file("$dir/track_many.sql", q{
SELECT FROM p.track_many((SELECT jsonb_agg(jsonb_build_object('external_id', 'lead ' || (1 + floor(random() * 60)::int), 'kind', 'page_view', 'profile', '{"budget": true}'::jsonb)) FROM generate_series(1, 5)));
});
append_to_file("$dir/sweep.sql", "SELECT p.sweep(10);\n");
$node->command_checks_all(
	[ 'pgbench', '-n', '-c', 8, '-j', 2, '-T', $seconds, '-h', $node->host, '-p', $node->port,
		'-f', "$dir/insert.sql\@10", '-f', "$dir/track.sql\@4", '-f', "$dir/track_many.sql\@2", '-f', "$dir/sweep.sql\@1", 'postgres' ],
	0, [qr/number of transactions actually processed: [1-9]/], [qr/^(?!.*ERROR)/s], 'load');
is($node->safe_psql('postgres', "SELECT deadlocks FROM pg_stat_database WHERE datname = 'postgres'"), '0', 'no deadlocks');
is($node->safe_psql('postgres', 'SELECT * FROM p.verify()'), '', 'verify()');
is($node->safe_psql('postgres', 'SELECT p.rebuild()'), '0', 'nothing to rebuild');
unlike(slurp_file($node->logfile), qr/ERROR/, 'no errors');
$node->stop;
done_testing();
