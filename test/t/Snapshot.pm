# What the catalogs say of the extension and of a pipeline, without OIDs: equal
# for pipelines that are.
package Snapshot;

use strict;
use warnings;

use Exporter 'import';

our @EXPORT = qw(catalog_snapshot difference);

# catalog_snapshot(NODE, DATABASE, PIPELINE): lines of text. What users added,
# with names that begin so, is left out.
sub catalog_snapshot
{
	my ($node, $db, $pipeline) = @_;
	my $sql = q{
	SELECT line FROM (
		SELECT 'member ' || pg_describe_object(classid, objid, 0) AS line
		FROM pg_depend
		WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
			AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'leadscore')
		UNION ALL
		SELECT pg_get_functiondef(p.oid) || coalesce(p.proacl::text, '') || coalesce(obj_description(p.oid, 'pg_proc'), '')
		FROM pg_proc p
		WHERE pronamespace IN ('leadscore'::regnamespace, 'leadscore_internal'::regnamespace, 'SCHEMA'::regnamespace) AND prokind IN ('f', 'p')
		UNION ALL
		SELECT c.relname || ' ' || c.relkind::text || ' ' || coalesce(c.reloptions::text, '') || coalesce(c.relacl::text, '') || coalesce(obj_description(c.oid, 'pg_class'), '')
			|| CASE WHEN c.relkind = 'v' THEN pg_get_viewdef(c.oid) ELSE '' END
			|| CASE WHEN c.relkind = 'i' THEN pg_get_indexdef(c.oid) ELSE '' END
		FROM pg_class c WHERE c.relnamespace = 'SCHEMA'::regnamespace AND c.relname NOT LIKE 'users%'
		UNION ALL
		SELECT c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull::text
			|| coalesce(pg_get_expr(d.adbin, d.adrelid), '') || coalesce(a.attacl::text, '') || coalesce(col_description(c.oid, a.attnum), '')
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
			LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
		WHERE c.relnamespace = 'SCHEMA'::regnamespace AND c.relkind IN ('r', 'v')
			AND c.relname NOT LIKE 'users%' AND a.attname NOT LIKE 'users%'
		UNION ALL
		SELECT c.relname || ' ' || pg_get_constraintdef(k.oid)
		FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid WHERE k.connamespace = 'SCHEMA'::regnamespace
		UNION ALL
		SELECT pg_get_triggerdef(t.oid) || t.tgenabled::text
		FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
		WHERE c.relnamespace = 'SCHEMA'::regnamespace AND NOT t.tgisinternal
	) s ORDER BY line COLLATE "C"};

	$sql =~ s/SCHEMA/$pipeline/g;
	return $node->safe_psql($db, $sql);
}

# difference(OLD, NEW): the lines that only one of two texts has.
sub difference
{
	my @old = split /\n/, shift;
	my @new = split /\n/, shift;
	my %old = map { $_ => 1 } @old;
	my %new = map { $_ => 1 } @new;

	return join "\n", (map { "- $_" } grep { !$new{$_} } @old), (map { "+ $_" } grep { !$old{$_} } @new);
}

1;
