# A pipeline in shards, as Citus would lay them out, with its catalogs mocked:
# triggers fire on tables <table>_<number>, and everything they write goes to
# the shards that belong together. The same statements on a pipeline that is
# not distributed must give the same.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('shards');
$node->init;
$node->append_conf('postgresql.conf', "max_prepared_transactions = 10\nfsync = off\n");
$node->start;
$node->safe_psql('postgres', 'CREATE ROLE app LOGIN; CREATE DATABASE cut');
$node->safe_psql('cut', 'CREATE EXTENSION leadscore');
$node->safe_psql('postgres', 'CREATE DATABASE whole TEMPLATE cut');
my $grant = "SELECT leadscore.grant_app('crm', 'app'); GRANT INSERT ON ALL TABLES IN SCHEMA crm TO app";
$node->safe_psql('whole', "SELECT leadscore.create_pipeline('crm'); $grant");

# What Citus does: rows go to shards, with the triggers that are enabled then;
# nothing but its name is left of the table itself. Later changes of triggers
# follow, those of TRUNCATE do not.
$node->safe_psql('cut', q{
	SET allow_system_table_mods = on;
	CREATE TABLE pg_catalog.pg_dist_partition (logicalrelid regclass, partmethod "char", partkey text, colocationid int, repmodel "char");
	CREATE TABLE pg_catalog.pg_dist_shard (logicalrelid regclass, shardid bigint, shardstorage "char", shardminvalue text, shardmaxvalue text);
	CREATE TABLE pg_catalog.pg_dist_placement (placementid bigint, shardid bigint, shardstate int, shardlength bigint, groupid int);
	CREATE TABLE pg_catalog.pg_dist_local_group (groupid int);
	INSERT INTO pg_catalog.pg_dist_local_group VALUES (0);
	GRANT SELECT ON pg_catalog.pg_dist_partition, pg_catalog.pg_dist_shard, pg_catalog.pg_dist_placement, pg_catalog.pg_dist_local_group TO PUBLIC;
	CREATE SEQUENCE shard_number START 102008;
	CREATE FUNCTION copy_trigger(g pg_trigger, shard pg_dist_shard) RETURNS void LANGUAGE plpgsql AS $$
	DECLARE
		name text := g.tgname || '_' || shard.shardid;
	BEGIN
		EXECUTE replace(replace(pg_get_triggerdef(g.oid), 'CREATE TRIGGER ' || g.tgname, 'CREATE OR REPLACE TRIGGER ' || name),
			format(' ON %s ', shard.logicalrelid), format(' ON %s_%s ', shard.logicalrelid, shard.shardid));
		EXECUTE format('ALTER TABLE %s_%s %s TRIGGER %s', shard.logicalrelid, shard.shardid,
			CASE g.tgenabled WHEN 'D' THEN 'DISABLE' WHEN 'A' THEN 'ENABLE ALWAYS' ELSE 'ENABLE' END, name);
	END $$;
	CREATE FUNCTION make_shard(logical regclass, low text, high text) RETURNS void LANGUAGE plpgsql AS $$
	DECLARE
		shard pg_dist_shard;
	BEGIN
		INSERT INTO pg_dist_shard VALUES (logical, nextval('public.shard_number'), 't', low, high) RETURNING * INTO shard;
		INSERT INTO pg_dist_placement VALUES (shard.shardid, shard.shardid, 1, 0, 0);
		EXECUTE format('CREATE TABLE %s_%s (LIKE %1$s INCLUDING ALL)', logical, shard.shardid);
		PERFORM public.copy_trigger(g, shard) FROM pg_trigger g WHERE g.tgrelid = logical AND NOT g.tgisinternal;
		IF low IS NULL THEN
			EXECUTE format('INSERT INTO %s_%s TABLE %1$s', logical, shard.shardid);
		END IF;
	END $$;
	CREATE FUNCTION pg_catalog.create_reference_table(logical regclass) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO pg_dist_partition VALUES (logical, 'n', NULL, 8, 't');
		PERFORM public.make_shard(logical, NULL, NULL);
	END $$;
	CREATE FUNCTION pg_catalog.create_distributed_function(regprocedure) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
	END $$;
	CREATE FUNCTION pg_catalog.truncate_local_data_after_distributing_table(logical regclass) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		IF EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = logical AND partmethod = 'h') THEN
			EXECUTE format('DELETE FROM %s', logical);
		END IF;
	END $$;
	CREATE FUNCTION pg_catalog.create_distributed_table(logical regclass, distribution_column text, colocate_with text) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		IF EXISTS (SELECT FROM pg_constraint WHERE conrelid = logical AND contype IN ('p', 'u')
				AND NOT conkey @> (SELECT ARRAY[attnum] FROM pg_attribute WHERE attrelid = logical AND attname = distribution_column)) THEN
			RAISE 'cannot create constraint on "%"', logical USING DETAIL = 'Distributed relations cannot have unique constraints that do not include the partition column.';
		END IF;
		INSERT INTO pg_dist_partition VALUES (logical, 'h', distribution_column, CASE colocate_with WHEN 'none' THEN 7
			ELSE (SELECT colocationid FROM pg_dist_partition WHERE logicalrelid = colocate_with::regclass) END, 's');
		PERFORM public.make_shard(logical, '-2147483648', '-1'), public.make_shard(logical, '0', '2147483647');
	END $$});
# what the coordinator knows of
$node->safe_psql('cut', q{
	SET allow_system_table_mods = on;
	CREATE VIEW pg_catalog.pg_dist_object AS SELECT 'pg_proc'::regclass::oid AS classid, oid AS objid FROM pg_proc
		UNION ALL SELECT 'pg_class'::regclass, oid FROM pg_class WHERE relkind = 'v'});
my ($refusal) = ($node->psql('cut', "SELECT leadscore.create_pipeline('half', attach => false, reports => false); SELECT create_reference_table('half.benchmark'); SELECT leadscore.attach_pipeline('half')"))[2];
like($refusal, qr/ERROR:  pipeline half is distributed in part/, 'a pipeline of which one table is distributed is not attached');
like(($node->psql('cut', "SELECT leadscore.distribute_pipeline('half')"))[2], qr/ERROR:  pipeline half is distributed in part/, 'nor distributed');
$node->safe_psql('cut', "DELETE FROM pg_dist_shard; DELETE FROM pg_dist_partition; SELECT leadscore.drop_pipeline('half')");
is($node->safe_psql('cut', q{
	SELECT leadscore.create_pipeline('crm') \g /dev/null
	SELECT leadscore.distribute_pipeline('crm') AS tables \gset
	SELECT count(*) = :tables, count(*) FILTER (WHERE partmethod = 'h') > 10 FROM pg_dist_partition}), 't|t', 'all tables are distributed');
like(($node->psql('cut', "SELECT leadscore.distribute_pipeline('crm')"))[2], qr/ERROR:  pipeline "crm" is distributed already/, 'once');
# the settings stay readable for queries of the whole
$node->safe_psql('cut', qq{
	SELECT copy_trigger(g, s) FROM pg_trigger g JOIN pg_dist_shard s ON s.logicalrelid = g.tgrelid WHERE NOT g.tgisinternal AND g.tgtype & 32 = 0;
	SELECT format('ALTER TABLE %s DISABLE TRIGGER USER', logicalrelid) FROM pg_dist_partition WHERE partmethod = 'n' \\gexec
	TRUNCATE crm.signal, crm.value_list, crm.content, crm.model, crm.model_activation, crm.event_kind CASCADE;
	$grant});

sub shard_names
{
	my ($table) = @_;
	return split /\n/, $node->safe_psql('cut', "SELECT 'crm.${table}_' || shardid FROM pg_dist_shard WHERE logicalrelid = 'crm.$table'::regclass ORDER BY shardid");
}
my %shards = map { $_ => [ shard_names($_) ] } qw(lead event lead_state stage_log segment_log profile_change signal rule setting segment segment_activation);
is(scalar @{ $shards{event} }, 2, 'two shards of a table of leads');

# Operators that lie in the way of names in search_path
my $trap = 'CREATE SCHEMA trap; GRANT USAGE ON SCHEMA trap TO app;';
foreach my $type (qw(bigint integer text oid "char" regclass))
{
	my $name = 'is_' . $type =~ s/\W//gr;
	$trap .= "CREATE FUNCTION trap.$name(a $type, b $type) RETURNS boolean LANGUAGE plpgsql AS \$\$ BEGIN RAISE 'trapped'; END \$\$;"
		. "CREATE OPERATOR trap.= (LEFTARG = $type, RIGHTARG = $type, FUNCTION = trap.$name);";
}
$node->safe_psql('cut', $trap);

# Run a statement on the whole and, each for its leads, on the shards.
sub both
{
	my ($sql, $role) = @_;
	my @sql = map {
		my ($i, $s) = ($_, $sql);
		$s =~ s/\{(\w+)\}/$i < 0 ? "crm.$1" : $shards{$1}[$i]/ge;
		$s =~ s/MINE/$i < 0 ? 'true' : "lead_id % 2 BETWEEN $i AND $i"/ge;
		$s;
	} (-1, 0, 1);
	my @user = $role ? (extra_params => [ '-U', $role ]) : ();
	$node->safe_psql('whole', $sql[0], @user);
	$node->safe_psql('cut', ($role ? 'SET search_path = trap, pg_catalog;' : '') . "$sql[1]; $sql[2]", @user);
}
my %columns = (
	lead_state => 'lead_id, activity, stage, promotion_blocked, cycle, stage_since, processed_until, next_review_at, segments, segments_since',
	stage_log => 'lead_id, seq, cycle, from_stage, to_stage, effective_at, from_since, cause, model, score, is_lead, superseded_at IS NULL',
	segment_log => 'lead_id, seq, segment, entered, effective_at, cause, superseded_at IS NULL',
	profile_change => 'lead_id, seq, signal, count, changed_at');
sub same
{
	my ($what) = @_;
	my $rows = sub {
		my ($tables) = @_;
		my $all = join ' UNION ALL ', map { my $t = $_; map { "SELECT '$t' AS kept, r::text AS r FROM (SELECT $columns{$t} FROM $_) r" } $tables->($t) } sort keys %columns;
		return "SELECT * FROM ($all) a ORDER BY kept COLLATE \"C\", r COLLATE \"C\"";
	};
	my $whole = $node->safe_psql('whole', $rows->(sub { "crm.$_[0]" }));
	is($node->safe_psql('cut', $rows->(sub { @{ $shards{ $_[0] } } })), $whole, "$what: the same");
	is($node->safe_psql('cut', 'SELECT (SELECT count(*) FROM crm.lead) + (SELECT count(*) FROM crm.event) + (SELECT count(*) FROM crm.lead_state)'
		. ' + (SELECT count(*) FROM crm.stage_log) + (SELECT count(*) FROM crm.segment_log) + (SELECT count(*) FROM crm.profile_change)'), '0', "$what: nothing but in shards");
	return $whole;
}

both(q{INSERT INTO {lead} (lead_id, email, profile, consented_at, created_at, updated_at)
	SELECT lead_id, 'a@example.com', CASE WHEN lead_id % 3 = 0 THEN '{"budget": true}' ELSE '{}' END::jsonb, '2025-01-01', '2025-01-01', '2025-01-01'
	FROM generate_series(1, 40) lead_id WHERE MINE});
both(q{INSERT INTO {event} (lead_id, kind, occurred_at)
	SELECT lead_id, kind, timestamptz '2025-01-02' + lead_id * interval '7 hours' + n * interval '1 day'
	FROM pg_catalog.generate_series(1, 40) lead_id, pg_catalog.unnest('{page_view,case_study_download,pricing_view,demo_request,page_view,purchase}'::text[]) WITH ORDINALITY k (kind, n)
	WHERE MINE AND n < 2 + lead_id % 6}, 'app');
both(q{INSERT INTO {event} (lead_id, kind, occurred_at, properties)
	SELECT lead_id, 'stage_set', '2025-02-01', '{"stage": "lost"}' FROM generate_series(1, 40, 9) lead_id WHERE MINE});
both(q{UPDATE {lead} SET profile = '{"need": true, "budget": false}', updated_at = '2025-02-02' WHERE lead_id % 5 = 0});
both(q{UPDATE {event} SET kind = 'quote_request', occurred_at = '2025-01-10' WHERE kind = 'page_view' AND lead_id % 7 = 0});
both(q{DELETE FROM {event} WHERE kind = 'pricing_view' AND lead_id % 4 < 2});
both(q{DELETE FROM {lead} WHERE lead_id > 36});
is($node->safe_psql('cut', "SELECT count(*) FROM (TABLE $shards{event}[0] UNION ALL TABLE $shards{event}[1]) e WHERE lead_id > 36"), '0', 'events of deleted leads are deleted');
# a segment as Citus would activate it: in the copies of the configuration
$node->safe_psql('whole', q{
	INSERT INTO crm.segment (segment) VALUES ('viewers');
	INSERT INTO crm.segment_condition (segment, condition, signal) VALUES ('viewers', 'views', 'page_view');
	SELECT crm.activate_segment('viewers')});
my ($definition, $number, $activated_at, $id) = split /\t/, $node->safe_psql('whole', q{
	SELECT replace(definition::text, '''', ''''''), activation_id, activated_at, segment_id FROM crm.segment_activation}, extra_params => [ '-F', "\t" ]);
$node->safe_psql('cut', qq{
	SET session_replication_role = replica;
	INSERT INTO $shards{segment}[0] (segment, segment_id, status, activated_by, activated_at) VALUES ('viewers', $id, 'active', 'postgres', '$activated_at');
	INSERT INTO $shards{segment_activation}[0] (activation_id, segment, segment_id, definition, activated_at) VALUES ($number, 'viewers', $id, '$definition', '$activated_at');
	UPDATE $shards{setting}[0] SET configuration = $number});
everywhere("SELECT leadscore_internal.sweep('crm', 100000)");
my $rows = same('triggers');
cmp_ok(scalar(() = $rows =~ /^$_/gm), '>', 30, "there is something in $_") foreach sort keys %columns;

# what maintains a pipeline goes through all shards of the node
sub everywhere
{
	my ($sql) = @_;
	is($node->safe_psql('cut', $sql), $node->safe_psql('whole', $sql), $sql);
}
everywhere("SELECT leadscore_internal.sweep('crm', 100000)");
same('sweep');
both("SET session_replication_role = replica; DELETE FROM {lead_state} WHERE lead_id % 3 = 0; RESET session_replication_role");
everywhere("SELECT leadscore_internal.rebuild('crm', NULL)");
same('rebuild');

# so do changes of the configuration: they fire on its shards
$node->safe_psql('whole', q{INSERT INTO crm.signal (signal, event_kinds, condition) VALUES ('visit', '{page_view}', '$channel == null')});
$node->safe_psql('cut', qq{INSERT INTO $shards{signal}[0] (signal, event_kinds, condition) VALUES ('visit', '{page_view}', '\$channel == null')});
same('a new signal');
both('DELETE FROM {event}');
same('no events');

# what they have locked, events wait for
sub fails
{
	my ($sql, $error, $hint, $what) = @_;
	my ($rc, $out, $err) = $node->psql('cut', "BEGIN; $sql");
	like($err, qr/ERROR:  $error/, $what);
	like($err, qr/HINT:  $hint/, "$what: hint") if $hint;
}
my $event = "INSERT INTO $shards{event}[0] (lead_id, kind, occurred_at) VALUES (2, 'page_view', '2025-06-01 12:00Z')";
$node->safe_psql('cut', "BEGIN; SELECT leadscore_internal.lock_pipeline('crm'); PREPARE TRANSACTION 'locked'");
fails("SET lock_timeout = '100ms'; $event", 'canceling statement due to lock timeout', undef, 'an event waits for a lock of the pipeline');
$node->safe_psql('cut', "ROLLBACK PREPARED 'locked'");
fails("UPDATE $shards{rule}[0] SET note = 'x'", 'model "inbound" is not a draft', 'Copy it with clone_model', 'the rules of the active model are frozen');
fails("UPDATE $shards{signal}[0] SET signal_id = 999 WHERE signal = 'visit'", 'the signal_id of signal "visit" cannot be changed', 'Define a new', 'so are numbers of signals');

# queries of the whole, which are distributed, classify as the shards do
is($node->safe_psql('cut', qq{
	BEGIN;
	CREATE FUNCTION signals() RETURNS bigint LANGUAGE sql BEGIN ATOMIC
		SELECT count(*) FROM jsonb_populate_record(NULL::crm.event, '{"lead_id": 1, "event_id": 1, "kind": "page_view", "occurred_at": "2025-01-01"}') e, leadscore_internal.event_signals(e);
	END;
	SELECT signals();
	INSERT INTO crm.signal (signal, signal_id, event_kinds) VALUES ('more', 1000, '{page_view}');
	INSERT INTO $shards{signal}[0] (signal, signal_id, event_kinds) VALUES ('more', 1000, '{page_view}');
	SELECT signals();
	ROLLBACK}), "0\n1", 'queries of the whole see new signals');

is($node->safe_psql('cut', "SELECT leadscore_internal.kinds_of('crm.event_kind', 'purchase', 'lost')"), '{purchase,subscription_started,subscription_renewed,lost}', 'so do they find kinds of events');

# what does not belong together is refused, also by a session that knew better
my $all = 'Distribute all tables that have a lead_id by it, colocated';
fails("$event; UPDATE pg_dist_partition SET colocationid = 9 WHERE logicalrelid = 'crm.lead_state'::regclass; ALTER TABLE crm.lead_state SET (fillfactor = 71); $event",
	'no shard of table "lead_state" is colocated with "event_\d+"', $all, 'another colocation group');
fails("DELETE FROM pg_dist_shard WHERE '$shards{stage_log}[0]' = 'crm.stage_log_' || shardid; $event",
	'no shard of table "stage_log" is colocated with "event_\d+"', $all, 'other limits');
fails("ALTER TABLE $shards{lead}[0] RENAME TO elsewhere; $event", 'no shard of table "lead" is colocated with "event_\d+"', $all, 'a shard on another node');
fails("UPDATE pg_dist_partition SET partmethod = 'n', colocationid = 8 WHERE logicalrelid = 'crm.lead_state'::regclass; $event",
	'no shard of table "lead_state" is colocated with "event_\d+"', $all, 'states as a reference table');
fails("DELETE FROM pg_dist_partition WHERE logicalrelid = 'crm.signal'::regclass; $event",
	'no shard of table "signal" is colocated with "event_\d+"', 'Make it a reference table', 'configuration that is not distributed');
fails("UPDATE pg_dist_partition SET colocationid = 0 WHERE partmethod = 'h'; $event",
	'no shard of table "lead" is colocated with "event_\d+"', $all, 'tables that are not colocated');
fails("INSERT INTO crm.event (lead_id, kind) VALUES (2, 'page_view')",
	'leads of pipeline "crm" can be written in their shards only', $all, 'an event that is not in a shard');
fails("DELETE FROM pg_dist_shard WHERE '$shards{event}[0]' = 'crm.event_' || shardid; $event",
	'leads of pipeline "crm" can be written in their shards only', $all, 'a shard that is not in the catalog');
fails("TRUNCATE crm.$_", qq(table "$_" is distributed and cannot be truncated), 'Use DELETE', "TRUNCATE of $_") foreach qw(event lead);
same('after errors');

# shards elsewhere are elsewhere's work
my $damage = $node->safe_psql('cut', "SELECT count(*) FROM $shards{lead_state}[1] WHERE lead_id % 3 = 0");
cmp_ok($damage, '>', 0, 'there is something to repair');
both('SET session_replication_role = replica; DELETE FROM {lead_state} WHERE lead_id % 3 = 0; RESET session_replication_role');
my ($rc, $out, $err) = $node->psql('cut', "ALTER TABLE $shards{event}[0] RENAME TO elsewhere; SELECT leadscore_internal.rebuild('crm', NULL)");
is($out, $damage, 'rebuild of the shards of this node');
like($err, qr/1 of 2 shards of pipeline "crm" are not on this node/, 'and says so');
$node->safe_psql('cut', "ALTER TABLE crm.elsewhere RENAME TO " . $shards{event}[0] =~ s/^crm\.//r);
# what was moved away is elsewhere too, though Citus has not dropped all of its tables yet
($rc, $out, $err) = $node->psql('cut', "UPDATE pg_dist_placement SET groupid = 1 WHERE '$shards{event}[0]' = 'crm.event_' || shardid; ALTER TABLE $shards{stage_log}[0] RENAME TO dropped;
	SELECT leadscore_internal.rebuild('crm', NULL)");
is($out, '0', 'rebuild without the shard that was moved away');
like($err, qr/1 of 2 shards of pipeline "crm" are not on this node/, 'which says so');
$node->safe_psql('cut', "UPDATE pg_dist_placement SET groupid = 0; ALTER TABLE crm.dropped RENAME TO " . $shards{stage_log}[0] =~ s/^crm\.//r);

# tables of one shard each, as in a distributed schema
is($node->safe_psql('cut', qq{
	BEGIN;
	UPDATE pg_dist_partition SET partmethod = 'n', colocationid = 5;
	DELETE FROM pg_dist_shard WHERE shardminvalue = '0';
	UPDATE pg_dist_shard SET shardminvalue = NULL, shardmaxvalue = NULL;
	$event;
	SELECT count(*) FROM $shards{lead_state}[0], leadscore.unnest(activity) a WHERE lead_id = 2 AND a.bucket = timestamptz '2025-06-01 00:00Z';
	ROLLBACK}), '2', 'tables of one shard each');

# a name that only looks like a shard's, beside real ones
is($node->safe_psql('cut', qq{
	SELECT leadscore.create_pipeline('q', 'inbound') \\g /dev/null
	CREATE TABLE q.event_2024 (LIKE q.event INCLUDING ALL);
	CREATE TRIGGER t AFTER INSERT ON q.event_2024 REFERENCING NEW TABLE AS new_event FOR EACH STATEMENT EXECUTE FUNCTION leadscore_internal.event_changed();
	$event;
	INSERT INTO q.lead (lead_id, created_at) VALUES (1, '2025-01-01');
	INSERT INTO q.event_2024 (lead_id, kind, occurred_at) VALUES (1, 'pricing_view', '2025-01-02 12:00Z');
	SELECT count(*) FROM q.lead_state, leadscore.unnest(activity) a WHERE a.bucket = timestamptz '2025-01-02 00:00Z'}), '1', 'a name that looks like that of a shard');
$node->stop;
done_testing();
