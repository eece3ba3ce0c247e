# A streaming standby answers what the primary does, and goes on after its
# promotion.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', "fsync = off\n");
$primary->start;
$primary->safe_psql('postgres', q{
	CREATE EXTENSION leadscore;
	SELECT leadscore.create_pipeline('p', 'inbound');
	INSERT INTO p.lead (external_id, email, consented_at, created_at, updated_at)
		SELECT 'lead ' || i, 'a@example.com', '2025-01-01', '2025-01-01', '2025-01-01' FROM generate_series(1, 50) i;
});
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

$primary->safe_psql('postgres', q{
	INSERT INTO p.event (lead_id, kind, occurred_at)
		SELECT 1 + i % 50, (ARRAY['pricing_view', 'demo_request', 'purchase', 'email_open'])[1 + i % 4], '2025-01-02'::timestamptz + i * interval '1 minute'
		FROM generate_series(1, 500) i;
	SELECT p.clone_model('inbound', 'other');
	UPDATE p.rule SET points = points * 3 WHERE model = 'other';
	SELECT p.activate_model('other', wait => true);
	INSERT INTO p.signal (signal, event_kinds) VALUES ('opened', '{email_open}');
});
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
foreach my $query (
	'SELECT * FROM p.verify()',
	'SELECT lead_id, activity, stage, cycle, stage_since FROM p.lead_state ORDER BY 1',
	"SELECT lead_id, p.score_by_id(lead_id, '2025-02-01') FROM p.lead ORDER BY 1",
	"SELECT * FROM p.explain_by_id(7, '2025-02-01')",
	'SELECT * FROM p.next_steps_by_id(7)',
	"SELECT * FROM p.compare_models('inbound', 'other', '2025-02-01')",
	'SELECT lead_id, seq, to_stage, effective_at, recorded_at FROM p.stage_history ORDER BY 1, 2')
{
	is($standby->safe_psql('postgres', $query), $primary->safe_psql('postgres', $query), $query);
}
is($standby->safe_psql('postgres', 'SELECT * FROM p.verify()'), '', 'verify() on the standby');
my ($rc, $out, $err) = $standby->psql('postgres', "SELECT * FROM p.track('lead 1', 'page_view')");
like($err, qr/read-only transaction|during recovery/, 'no writes on the standby');

$primary->stop('immediate');
$standby->promote;
$standby->safe_psql('postgres', q{
	SELECT * FROM p.track('lead 1', 'page_view');
	SELECT * FROM p.track('somebody new', 'quote_request');
	SELECT p.sweep();
	SELECT p.activate_model('inbound', wait => true);
});
is($standby->safe_psql('postgres', 'SELECT * FROM p.verify()'), '', 'verify() after promotion');
is($standby->safe_psql('postgres', 'SELECT p.rebuild()'), '0', 'nothing to rebuild');
$standby->stop;
done_testing();
