# Every function and view works under an empty search_path, and whatever lies
# in the way of one that does not is never called: not when the extension is
# installed, nor for the owner of a pipeline, an app, a reader.

use strict;
use warnings;

use FindBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('searchpath');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\njit = off\n");
$node->start;
$node->safe_psql('postgres', q{
	CREATE ROLE boss LOGIN;
	CREATE ROLE app LOGIN;
	CREATE ROLE bi LOGIN;
	CREATE ROLE evil LOGIN;
	CREATE DATABASE clean OWNER boss;
	CREATE DATABASE trapped OWNER evil;
	CREATE DATABASE other;
	GRANT CREATE ON DATABASE other TO app});

sub as
{
	my ($role, $db, $sql) = @_;
	return $node->safe_psql($db, $sql, extra_params => [ '-U', $role ]);
}

# errors(ROLE, DB, BEFORE, STATEMENTS): run each statement in a transaction of
# its own that is rolled back, in one session; what fails, by its number.
sub errors
{
	my ($role, $db, $before, @statements) = @_;
	my ($out, $err) = ('', '');
	my $script = "$before\n";
	my $line = $script =~ tr/\n//;

	foreach (@statements)
	{
		die "more than one line: $_" if /\n/;
		$script .= "BEGIN; $_; ROLLBACK;\n";
	}
	IPC::Run::run(
		[ 'psql', '-XAtq', '-U', $role, '-d', $node->connstr($db), '-f', '-' ],
		'<', \$script, '>', \$out, '2>', \$err);
	my %errors;
	foreach (split /\n/, $err)
	{
		$errors{ $1 - $line - 1 } = $2 if /^psql:<stdin>:(\d+): ERROR:  (.*)/;
	}
	return \%errors;
}

# What lies in the way: everything of pg_catalog and of a pipeline once more,
# in schema public, by its owner; a session that touches any of it draws a number.
my $traps = q[
	CREATE SEQUENCE public.caught;
	GRANT ALL ON SEQUENCE public.caught TO PUBLIC;
	CREATE FUNCTION public.spring(anyelement) RETURNS boolean LANGUAGE plpgsql AS
		'BEGIN PERFORM pg_catalog.nextval(''public.caught''); RETURN true; END';
	DO $do$
	DECLARE
		body text := $$LANGUAGE plpgsql AS 'BEGIN PERFORM pg_catalog.nextval(''public.caught''); RETURN%s; END'$$;
		r record;
		n int := 0;
	BEGIN
		FOR r IN
			SELECT p.proname, pg_get_function_result(p.oid) AS result, p.proretset OR p.prorettype = 'void'::regtype AS no_value,
				(SELECT string_agg(a::regtype::text, ', ' ORDER BY i) FROM unnest(p.proargtypes) WITH ORDINALITY AS u (a, i)) AS arguments
			FROM pg_proc p
			WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind IN ('f', 'a') AND NOT p.provariadic > 0
				AND NOT EXISTS (SELECT FROM unnest(p.proargtypes || p.prorettype) a JOIN pg_type t ON t.oid = a
					WHERE t.typtype = 'p' AND t.typname NOT IN ('anyelement', 'anyarray', 'anycompatible', 'anycompatiblearray', 'void'))
				AND NOT 'void'::regtype = ANY (p.proargtypes) AND pg_get_function_result(p.oid) !~ '^TABLE'
				AND (p.prorettype::regtype::text !~ '^any' OR EXISTS (SELECT FROM unnest(p.proargtypes) a WHERE a::regtype::text ~ '^any'))
		LOOP
			EXECUTE format('CREATE FUNCTION public.%I(%s) RETURNS %s ', r.proname, r.arguments, r.result)
				|| format(body, CASE WHEN r.no_value THEN '' ELSE ' NULL' END);
		END LOOP;
		FOR r IN
			SELECT o.oprname, o.oprleft, o.oprright, o.oprresult::regtype AS result,
				concat_ws(', ', 'LEFTARG = ' || nullif(o.oprleft, 0)::regtype, 'RIGHTARG = ' || o.oprright::regtype) AS arguments,
				concat_ws(', ', nullif(o.oprleft, 0)::regtype, o.oprright::regtype) AS types
			FROM pg_operator o
			WHERE o.oprnamespace = 'pg_catalog'::regnamespace AND o.oprcode <> 0
				AND NOT EXISTS (SELECT FROM pg_type t WHERE t.oid IN (o.oprleft, o.oprright, o.oprresult) AND t.typtype = 'p'
					AND t.typname NOT IN ('anyelement', 'anyarray', 'anycompatible', 'anycompatiblearray'))
		LOOP
			n := n + 1;
			EXECUTE format('CREATE FUNCTION public.operator_%s(%s) RETURNS %s ', n, r.types, r.result) || format(body, ' NULL');
			EXECUTE format('CREATE OPERATOR public.%s (%s, FUNCTION = public.operator_%s)', r.oprname, r.arguments, n);
		END LOOP;
	END
	$do$;
	CREATE FUNCTION public.lay(schema text) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
	DECLARE
		r record;
	BEGIN
		FOR r IN
			SELECT typname, format_type(oid, NULL) AS base FROM pg_type
			WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype = 'b' AND typcategory <> 'A' AND typelem = 0 AND typrelid = 0
		LOOP
			EXECUTE format('CREATE DOMAIN %I.%I AS %s CHECK (public.spring(VALUE))', schema, r.typname, r.base);
		END LOOP;
		FOR r IN
			SELECT relname FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind IN ('r', 'v')
			UNION SELECT unnest('{lead,event,lead_state,stage_log,segment_log,profile_change,signal,value_list,content,form_field,setting,model,model_activation,
				segment,segment_condition,segment_activation,
				dimension,rule,stage_rule,stage_gate,grade,event_role,event_kind,channel,campaign,cost,benchmark,new_event,old_event,new_content,old_content,new_lead,old_lead}'::text[])
		LOOP
			EXECUTE format('CREATE VIEW %I.%I AS SELECT public.spring(1) AS lead_id', schema, r.relname);
			EXECUTE format('GRANT ALL ON %I.%I TO PUBLIC', schema, r.relname);
		END LOOP;
	END
	$$;
	SELECT public.lay('public');
	ALTER DATABASE trapped SET search_path = public, pg_catalog;
];
# and settings that change what text means
$traps .= "ALTER DATABASE trapped SET $_;\n"
  foreach (
	'standard_conforming_strings = off', 'transform_null_equals = on', 'array_nulls = off', "datestyle = 'SQL, DMY'",
	"intervalstyle = 'sql_standard'", 'extra_float_digits = -15', 'check_function_bodies = off', "bytea_output = 'escape'", 'quote_all_identifiers = on');

as('evil', 'trapped', $traps);
my $caught = 'SELECT pg_catalog.pg_sequence_last_value($$public.caught$$)';

# a schema of our name that waits for us is not taken
as('evil', 'trapped', 'CREATE SCHEMA leadscore');
my ($rc, $out, $err) = $node->psql('trapped', 'CREATE EXTENSION leadscore');
like($err, qr/schema "leadscore" already exists/, 'no schema of somebody else is adopted');
as('evil', 'trapped', 'DROP SCHEMA leadscore; GRANT CREATE ON DATABASE trapped TO boss');

# nor is anything in it: what a new install creates must be new
my @fragments = glob("$FindBin::Bin/../../src/sql/[0-9]*.sql");
is(join("\n", grep { slurp_file($_) =~ /^CREATE (OR REPLACE|.* IF NOT EXISTS )/m } @fragments), '', 'nothing is replaced or left as it is');
cmp_ok(scalar @fragments, '>', 5, 'in all of the script');

# install: by the owner of the database, and by a superuser into traps
as('boss', 'clean', 'CREATE EXTENSION leadscore');
is($node->safe_psql('clean', q{SELECT extowner::regrole FROM pg_extension WHERE extname = 'leadscore'}), 'boss', 'who owns a database may install');
($rc, $out, $err) = $node->psql('postgres', 'CREATE EXTENSION leadscore', extra_params => [ '-U', 'boss' ]);
like($err, qr/permission denied to create extension/, 'others may not');
is(as('app', 'other', "CREATE EXTENSION leadscore; SELECT leadscore.stage_rank('mql')"), '60', 'but who may create schemas in it');
($rc, $out, $err) = $node->psql('clean', 'CREATE FUNCTION leadscore.mine() RETURNS int LANGUAGE sql RETURN 1', extra_params => [ '-U', 'boss' ]);
like($err, qr/permission denied for schema leadscore/, 'and nobody but a superuser gets into its schema');
$node->safe_psql('trapped', q{CREATE EXTENSION leadscore});
is($node->safe_psql('trapped', $caught), '', 'installed without a touch');

my %pipeline = (clean => "SET search_path = ''", trapped => 'SELECT 1');
foreach my $db (sort keys %pipeline)
{
	as('boss', $db, qq{
		$pipeline{$db};
		SELECT leadscore.create_pipeline('p');
		SELECT leadscore.grant_app('p', 'app'), leadscore.grant_reader('p', 'bi');
		INSERT INTO p.lead (external_id, email, consented_at, created_at, updated_at)
			VALUES ('one', 'a\@example.com', '2025-01-01', '2025-01-01', '2025-01-01'), ('two', NULL, NULL, '2025-01-01', '2025-01-01');
		INSERT INTO p.event (lead_id, kind, occurred_at, properties) VALUES (1, 'demo_request', '2025-01-02', NULL), (1, 'form_view', '2025-01-02', '{"form": "f"}'),
			(1, 'page_view', '2025-01-01', '{"page": "/"}'), (1, 'email_sent', '2025-01-01', '{"message": "m"}'), (1, 'sales_contact', '2025-02-01', NULL),
			(1, 'purchase', '2025-03-01', NULL), (1, 'unknown', '2025-03-01', NULL);
		SELECT p.clone_model('inbound', 'other');
		INSERT INTO p.form_field (form, field, position) VALUES ('mql', 'name', 1);
		INSERT INTO p.segment (segment, persona) VALUES ('buyers', true), ('viewers', false), ('draft', false);
		INSERT INTO p.segment_condition (segment, condition, signal, lead_condition, in_segment) VALUES
			('buyers', 'bought', 'purchase', NULL, NULL), ('buyers', 'wrote', NULL, '\$email like_regex "@"', NULL), ('viewers', 'saw', 'page_view', NULL, NULL),
			('draft', 'bought', NULL, NULL, 'buyers'), ('draft', 'name', NULL, '\$external_id == "one"', NULL);
		SELECT p.activate_segment('buyers'), p.activate_segment('viewers');
		INSERT INTO p.sequence (sequence, starts_on, start_name, goal_signals, stay_in_segment, again_after) VALUES
			('nurture', 'event', 'page_view', '{purchase}', NULL, '0'), ('draft', 'stage', 'mql', '{}', 'viewers', '0');
		INSERT INTO p.sequence_step (sequence, step, position, delay, channel, only_if, not_before, business_time) VALUES
			('nurture', 'one', 1, '0', 'email', '{}', NULL, false), ('nurture', 'two', 2, '1 hour', 'email', '{page_view}', '0:00', true), ('draft', 'one', 1, '0', 'email', '{}', NULL, false);
		SELECT p.activate_sequence('nurture');
		INSERT INTO p.experiment (experiment, goal_stage) VALUES ('page', 'sql'), ('draft', 'sql');
		INSERT INTO p.variant (experiment, variant, position) VALUES ('page', 'mql', 1), ('page', 'one', 2), ('draft', 'mql', 1), ('draft', 'one', 2);
		SELECT p.start_experiment('page', '2025-01-01');
		INSERT INTO p.contact_limit (channel, period, max_count) VALUES ('email', 'day', 10), (NULL, 'month', 100);
		INSERT INTO p.contact_hours (channel, not_before, not_after) VALUES ('email', '0:00', '24:00');
		INSERT INTO p.business_hours (weekday, opens_at, closes_at) VALUES (1, '9:00', '17:00');
		INSERT INTO p.assignment (owner, stage) VALUES ('ann', 'mql');
		INSERT INTO p.event (lead_id, kind) VALUES (1, 'page_view');
		CREATE SCHEMA staging; GRANT USAGE ON SCHEMA staging TO app, bi;
		CREATE TABLE staging.export (id pg_catalog.text, mail pg_catalog.text, since pg_catalog.text);
		INSERT INTO staging.export VALUES ('7', 'c\@example.com', '2025-04-01'), ('', '', '');
		GRANT SELECT ON staging.export TO app, bi;
		SELECT p.add_action('one', 'email', 'x', dedup_key => 'x'), p.enroll_lead('two', 'nurture');
	});
}
my $digest = q{SET search_path = pg_catalog; SET quote_all_identifiers = off; SET standard_conforming_strings = on; SET datestyle = 'ISO'; SET intervalstyle = 'postgres';
	SELECT md5(string_agg(d, E'\n' ORDER BY d COLLATE "C")) FROM (
		SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace IN ('leadscore'::regnamespace, 'leadscore_internal'::regnamespace, 'p'::regnamespace, 'p_reports'::regnamespace) AND prokind IN ('f', 'p')
		UNION ALL SELECT pg_get_viewdef(oid) FROM pg_class WHERE relnamespace IN ('p'::regnamespace, 'p_reports'::regnamespace) AND relkind = 'v'
		UNION ALL SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'p'::regnamespace) AS s (d)};
is($node->safe_psql('trapped', $digest), $node->safe_psql('clean', $digest), 'what is made there is the same as elsewhere');

# A call of every function, operator, aggregate and view, made from the
# catalog: arguments by their name, or else by their type.
my $calls = $node->safe_psql('clean', <<'SQL');
	CREATE TEMP TABLE sample (name text, type text, value text);
	INSERT INTO sample VALUES
		('lead_id', 'int8', '1'), ('event_id', 'int8', '1'), ('referred_by', 'int8', '2'), ('max_leads', 'int4', '10'), ('external_id', 'text', 'one'),
		('pipeline', 'text', 'p'), ('name', 'text', 'p'), ('role', 'text', 'app'), ('preset', 'text', 'empty'), ('file', 'text', 'triggers/attach'), ('figure', 'text', 'leads'), ('parts', '_text', '{rates}'),
		('time_zone', 'text', 'Asia/Kathmandu'), ('zone', 'text', 'Asia/Kathmandu'), ('period', 'text', 'day'), ('kind', 'text', 'page_view'), ('market', 'text', 'b2b'),
		('model', 'text', 'other'), ('a', 'text', 'inbound'), ('b', 'text', 'other'), ('source', 'text', 'inbound'), ('target', 'text', 'new'),
		('segment', 'text', 'viewers'), ('sequence', 'text', 'nurture'), ('experiment', 'text', 'page'), ('sequences', '_text', '{nurture}'), ('enroll', 'text', 'all'), ('channel', 'text', 'email'),
		('actions', 'jsonb', '[{"lead_id": 1, "action_id": 1, "attempt": 0}]'), ('kinds', '_text', '{signal}'), ('names', '_text', '{page_view}'), ('causes', '_text', '{event}'),
		('started_by', '_text', '{by_hand}'), ('reasons', '_text', '{by_hand}'), ('', '_lead_stage', '{mql}'), ('definition', 'jsonb', '{"segment": "x", "segment_id": 100, "conditions": [{"condition": "x", "signal_id": 1}]}'),
		('cause', 'text', 'decay'), ('condition', 'text', 'raise_exception'), ('events', 'jsonb', '[{"external_id": "one", "kind": "page_view"}]'),
		('purpose', 'text', 'marketing'), ('status', 'text', 'granted'), ('basis', 'text', 'consent'), ('reason', 'text', 'manual'),
		('address', 'text', 'a@example.com'), ('email', 'text', 'b@example.com'), ('winner', 'text', 'one'), ('loser', 'text', 'two'), ('winner', 'int8', '1'), ('loser', 'int8', '2'),
		('anonymous', 'text', 'two'), ('known', 'text', 'one'),
		('staging', 'regclass', 'staging.export'), ('mapping', 'jsonb', '{"record_id": ["id"], "email": ["mail"], "created_at": ["since"]}'),
		('date_order', 'text', 'mdy'), ('marketing_basis', 'text', 'consent'), ('delimiter', 'text', ','), ('task', 'text', 'rebuild'), ('phase', 'text', 'reading rows'),
		('records', 'jsonb', '[{"row": 1, "record_id": "7", "email": "c@example.com"}]'),
		('mode', 'text', 'ordered'), ('from_step', 'int4', '1'), ('to_step', 'int4', '2'),
		('', 'text', 'mql'), ('', 'varchar', 'x'), ('', 'bool', 't'), ('', 'int2', '1'), ('', 'int4', '1'), ('', 'int8', '1'), ('', 'numeric', '1'), ('', 'float8', '1'),
		('', 'timestamptz', '2025-06-01'), ('', 'date', '2025-06-01'), ('', 'interval', '1 day'), ('', 'jsonb', '{}'), ('', 'bytea', NULL),
		('event_kind', 'regclass', 'p.event_kind'), ('', 'regclass', 'p.lead'), ('', 'regnamespace', 'p'), ('', 'cstring', 'mql'), ('', 'oid', '0'),
		('', 'lead_stage', 'mql'), ('', 'lead_activity', 'day{1@2025-06-01:1}'), ('', '_bool', '{t,f}'), ('', '_int8', '{1}'), ('', '_text', '{one}'),
		('', 'timestamp', '2025-06-01'), ('', 'time', '09:00'), ('closes', '_time', '{18:00}'), ('', '_time', '{09:00}'), ('', '_int4', '{1}'),
		('', '_jsonb', '{"{}"}'), ('', '_timestamptz', '{2025-06-01}'), ('', '_float8', '{1}'), ('', '_numeric', '{1}'),
		('stages', '_text', '{mql}');
	WITH argument AS (
		SELECT p.oid, u.i, quote_literal(s.value) AS value, n.nspname, t.typname,
			CASE WHEN p.provariadic > 0 AND u.i = p.pronargs THEN 'VARIADIC ' ELSE '' END
			|| CASE WHEN t.typname = 'lead_model' THEN '(SELECT m.compiled FROM p.model m WHERE m.status OPERATOR(pg_catalog.=) ''active'')'
				WHEN p.proname IN ('event_signals', 'event_mistypes') THEN '(SELECT e FROM p.event e LIMIT 1)'
				WHEN p.proname IN ('profile_signals', 'profile_mistypes') OR p.proname OPERATOR(pg_catalog.=) 'would_be_in' AND u.i OPERATOR(pg_catalog.=) 1 THEN '(SELECT e FROM p.lead e LIMIT 1)'
				ELSE coalesce(quote_literal(s.value), CASE WHEN s.type IS NOT NULL THEN 'NULL' END) || format('::%I.%I', n.nspname, t.typname) END AS expression
		FROM pg_proc p
			CROSS JOIN LATERAL unnest(p.proargtypes) WITH ORDINALITY AS u (type, i)
			JOIN pg_type t ON t.oid = u.type
			JOIN pg_namespace n ON n.oid = t.typnamespace
			LEFT JOIN LATERAL (
				SELECT * FROM sample s WHERE s.type = t.typname AND s.name IN ('', coalesce(p.proargnames[u.i], ''))
				ORDER BY s.name DESC LIMIT 1) s ON true
	), call AS (
		SELECT p.proname, p.oid::regprocedure AS what, format('%s %I.%I(%s)', CASE WHEN p.prokind = 'p' THEN 'CALL' WHEN p.prokind = 'a' OR NOT p.proretset THEN 'SELECT' ELSE 'SELECT * FROM' END, n.nspname, p.proname,
			(SELECT string_agg(coalesce(a.expression, 'no sample'), ', ' ORDER BY a.i) FROM argument a WHERE a.oid = p.oid)) AS sql
		FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
		WHERE (n.nspname IN ('leadscore', 'leadscore_internal', 'p', 'p_reports') OR EXISTS (
				SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e' AND d.refobjid = (SELECT e.oid FROM pg_extension e WHERE e.extname = 'leadscore'))) AND p.prorettype <> 'trigger'::regtype
			-- these cannot be called, see hostile.sql
			AND NOT 'internal'::regtype = ANY (p.proargtypes)
	)
	SELECT what::text || E'\t' || CASE what::text
			-- to make a pipeline takes a name that is free
			WHEN 'leadscore.create_pipeline(text,text,interval,boolean,boolean)' THEN replace(sql, '''p''', '''q''')
			WHEN 'p_reports.attribution(text)' THEN 'SELECT * FROM p_reports.attribution(''linear'')'
			WHEN 'leadscore_internal.require_attribution(text)' THEN 'SELECT leadscore_internal.require_attribution(''linear'')'
			WHEN 'leadscore.window_funnel_transfn(bytea,timestamp with time zone,interval,text,boolean[])' THEN replace(sql, '''mql''', '''any''')
			WHEN 'leadscore.window_funnel_except_transfn(bytea,timestamp with time zone,interval,text,boolean,integer,integer,boolean[])'
				THEN replace(replace(sql, '''mql''', '''strict'''), '''1''::pg_catalog.int4, ''1''', '''1''::pg_catalog.int4, ''2''')
			-- target is a stage here, and names are those of signals
			WHEN 'p.suggest_points(text,text,interval,timestamp with time zone,timestamp with time zone,text,integer,text[],text[],boolean,double precision,integer)' THEN replace(replace(sql, '''new''', '''customer'''), '{one}', '{page_view}')
			WHEN 'p.calibrate_model(text,text,interval,timestamp with time zone,timestamp with time zone)' THEN replace(replace(sql, '''new''', '''customer'''), '''other''', '''inbound''')
			WHEN 'p.conversion_probability(text,timestamp with time zone,text,interval)' THEN replace(sql, '''new''', '''customer''')
			WHEN 'p.conversion_probability_by_id(bigint,timestamp with time zone,text,interval)' THEN replace(sql, '''new''', '''customer''')
			WHEN 'p.clone_segment(text,text)' THEN replace(sql, '''inbound''', '''viewers''')
			WHEN 'p.activate_segment(text,text,boolean,boolean)' THEN replace(sql, 'viewers''::pg_catalog.text, ''mql', 'draft''::pg_catalog.text, ''viewers')
			WHEN 'leadscore_internal.activate_segment(regnamespace,text,text,boolean)' THEN replace(sql, 'viewers''::pg_catalog.text, ''mql', 'draft''::pg_catalog.text, ''viewers')
			WHEN 'leadscore_internal.key_columns(regclass,text[])' THEN replace(sql, '{one}', '{lead_id}')
			WHEN 'p.segment_preview(text,text)' THEN replace(sql, 'viewers''::pg_catalog.text, ''mql', 'draft''::pg_catalog.text, ''viewers')
			WHEN 'p.segment_preview_leads(text,text)' THEN replace(sql, 'viewers''::pg_catalog.text, ''mql', 'draft''::pg_catalog.text, ''viewers')
			WHEN 'p.activate_sequence(text,text)' THEN replace(sql, '''nurture''', '''draft''')
			WHEN 'p.start_experiment(text,timestamp with time zone)' THEN replace(sql, '''page''', '''draft''')
			WHEN 'p._check_sequence(text)' THEN replace(sql, '''nurture''', '''draft''')
			-- kind is that of an action here
			WHEN 'p.add_action(text,text,text,timestamp with time zone,text,text,text,boolean,integer,jsonb,interval,text)' THEN replace(replace(sql, '''page_view''', '''message'''), '''t''::pg_catalog.bool', '''f''::pg_catalog.bool')
			WHEN 'p.add_action_by_id(bigint,text,text,timestamp with time zone,text,text,text,boolean,integer,jsonb,interval,text)' THEN replace(replace(sql, '''page_view''', '''message'''), '''t''::pg_catalog.bool', '''f''::pg_catalog.bool')
			-- kind is that of a lead here
			WHEN 'p.upsert_lead(text,text,jsonb,text,text,text,text,text,text,text,text,boolean,boolean,bigint,text,text,text,timestamp with time zone)'
				THEN replace(sql, '''page_view''', '''person''')
			ELSE sql END
	FROM call
	UNION ALL
	SELECT format(E'operator %s\tSELECT %s OPERATOR(pg_catalog.%s) %s', o.oid::regoperator,
		CASE WHEN o.oprleft = 0 THEN '' ELSE (SELECT a.expression FROM argument a WHERE a.oid = o.oprcode AND a.i = 1) END,
		o.oprname, (SELECT a.expression FROM argument a WHERE a.oid = o.oprcode ORDER BY a.i DESC LIMIT 1))
	FROM pg_operator o JOIN pg_proc f ON f.oid = o.oprcode WHERE f.pronamespace = 'leadscore'::regnamespace
	UNION ALL
	SELECT format(E'%s %s\tSELECT v.* FROM %s v', CASE c.relkind WHEN 'v' THEN 'view' ELSE 'table' END, c.relname, c.oid::regclass)
	FROM pg_class c WHERE c.relnamespace IN ('p'::regnamespace, 'p_reports'::regnamespace) AND c.relkind IN ('r', 'v')
SQL
my (@names, @calls);
foreach (sort split /\n/, $calls)
{
	my ($name, $sql) = split /\t/;
	push @names, $name;
	push @calls, $sql;
}
cmp_ok(scalar @calls, '>', 200, 'there are calls');
is(join("\n", grep { /no sample/ } @calls), '', 'of everything');

# and what makes triggers work
my @writes = (
	"INSERT INTO p.event (lead_id, kind, occurred_at) VALUES (1, 'quote_request', '2025-01-03'), (1, 'unknown', '2025-01-03')",
	"INSERT INTO p.event (lead_id, kind, source_id) VALUES (1, 'quote_request', 'a') ON CONFLICT DO NOTHING",
	"UPDATE p.event SET kind = 'pricing_view'",
	'DELETE FROM p.event',
	'TRUNCATE p.event',
	"INSERT INTO p.lead (external_id) VALUES ('three')",
	q{UPDATE p.lead SET profile = '{"need": true}', email = 'b@example.com'},
	'DELETE FROM p.lead',
	'TRUNCATE p.lead',
	"INSERT INTO p.signal (signal, event_kinds, condition) VALUES ('more', '{more}', '\$.a starts with \"x\"')",
	"INSERT INTO p.value_list VALUES ('list', 'item')",
	"INSERT INTO p.content (content, kind, intent) VALUES ('plan', 'ebook', 'solution')",
	"UPDATE p.content SET intent = 'educational'",
	'DELETE FROM p.content',
	"UPDATE p.rule SET note = 'x' WHERE model OPERATOR(pg_catalog.=) 'other'",
	"UPDATE p.setting SET currency = 'USD'",
	"INSERT INTO p.segment (segment) VALUES ('third')",
	q{INSERT INTO p.segment_condition (segment, condition, dimension, min_points) SELECT 'draft', 'points', d.dimension, 1 FROM p.dimension d LIMIT 1},
	q{INSERT INTO p.segment_condition (segment, condition, lead_condition) VALUES ('draft', 'need', '$.need == true')},
	'DELETE FROM p.segment_condition WHERE segment OPERATOR(pg_catalog.=) $$draft$$',
	"INSERT INTO p.cost (day_from, day_to, amount) VALUES ('2025-01-01', '2025-01-02', 1)");
push @names, @writes;
push @calls, @writes;

# What fails though nothing is in the way, and why
my %fails = (
	'leadscore_internal.refuse(text,text,text)' => qr/^mql$/,
	'leadscore_internal.grant_all(text[],text)' => qr/^role "one" does not exist$/,
	# one row is too little to learn from
	'leadscore.logistic_fit(boolean,double precision[],double precision)' => qr/^all labels are true/,
	'leadscore.logistic_fit(boolean,double precision[],double precision,bigint)' => qr/^all labels are true/,
	'p.suggest_points(text,text,interval,timestamp with time zone,timestamp with time zone,text,integer,text[],text[],boolean,double precision,integer)'
		=> qr/^the history of leads is too short/,
	'p.calibrate_model(text,text,interval,timestamp with time zone,timestamp with time zone)' => qr/^(?:too few leads reached|the history of leads is too short)/,
	'leadscore_internal.calibrated_chance(double precision[],double precision,integer)' => qr/^a curve must have 6 numbers/,
	# it makes a table where the session makes tables
	'p.create_import_table(text,text,text)' => qr/^(?:permission denied for schema public)?$/,
	# PostgreSQL calls these
	'leadscore_internal.call_handler()' => qr/^permission denied/,
	'leadscore_internal.validator(oid)' => qr/^permission denied/,
	# a table of the pipeline is not the app's
	'leadscore.track_table(text,regclass,text,text,text,text,text[],text[],text,text,text,jsonb,text,text,text)' => qr/^"lead" cannot be tracked$/,
	'leadscore.track_lead_table(text,regclass,text,text,text[],text[],text,text,text[],jsonb,text,text,text)' => qr/^"lead" cannot be tracked$/,
	'leadscore_internal.check_tracked(text,regclass,text,text,text)' => qr/^"lead" cannot be tracked$/,
	'leadscore.backfill_table(text,text,bigint,boolean)' => qr/^there is no tracked table "mql"$/,
	'p._backfill(regclass,text,bigint)' => qr/^table "lead" cannot be read as "mql"$/,
	# the call is in a transaction, so the first 1,000 leads stay undone
	'p.sweep_all()' => qr/^invalid transaction termination$/,
	# there is no other node, and the calls are in a transaction
	'leadscore.distribute_pipeline(text,text)' => qr/^unknown layout "mql"$/,
	'leadscore_internal.forbid_transaction_block(text)' => qr/cannot run inside a transaction block$/,
	'leadscore_internal.on_all_nodes(text,text)' => qr/cannot run inside a transaction block$/,
	# it is for a pipeline without triggers
	'leadscore_internal.number_leads(regnamespace)' => qr/violates foreign key constraint "event_lead_id_fkey"$/,
	'leadscore.lead_model_in(cstring)' => qr/^invalid input syntax for type json/,
	'leadscore.lead_activity_in(cstring)' => qr/^invalid input syntax for type lead_activity/);

sub check_owner
{
	my ($name, $errors) = @_;
	my @unexpected;

	foreach my $i (0 .. $#calls)
	{
		my $error = $errors->{$i} // '';
		my $expected = $fails{ $names[$i] } // qr/^$/;
		push @unexpected, "$names[$i]: $error" unless $error =~ $expected;
	}
	is(join("\n", @unexpected), '', $name);
}

check_owner('the owner may call everything, with nothing in search_path',
	errors('boss', 'clean', "SET search_path = '';", @calls));
is(as('boss', 'clean', "SET search_path = ''; SELECT * FROM p.verify()"), '', 'and all is right');
check_owner('the owner may call everything, with traps in the way',
	errors('boss', 'trapped', "SELECT public.lay('pg_temp');", @calls));
is($node->safe_psql('trapped', $caught), '', 'no trap caught the owner');

# others are refused, or served
foreach my $role ('app', 'bi')
{
	my $errors = errors($role, 'trapped', "SELECT public.lay('pg_temp');", @calls);
	my @other = grep { $errors->{$_} !~ /^permission denied|^must be owner/ && !$fails{ $names[$_] } } sort keys %$errors;

	is(join("\n", map { "$names[$_]: $errors->{$_}" } @other), '', "$role is served or refused");
	cmp_ok(scalar keys %$errors, '<', @calls - 50, "$role is served");
	is($node->safe_psql('trapped', $caught), '', "no trap caught the owner's functions called by $role");
}

# the traps work: with functions of the owner that are careless
as('boss', 'trapped', q{
	CREATE FUNCTION p.careless(what pg_catalog.text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN EXECUTE what; END';
	CREATE FUNCTION p.less_careless(what pg_catalog.text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS 'BEGIN EXECUTE what; END'});
my $drawn = 0;
foreach (
	[ 'careless', 'SELECT lower($$X$$::pg_catalog.text)', 'function' ],
	[ 'careless', 'SELECT 1::pg_catalog.int8 = 1::pg_catalog.int8', 'operator' ],
	[ 'careless', 'SELECT $$x$$::text', 'type' ],
	[ 'careless', 'SELECT * FROM event', 'table' ],
	[ 'less_careless', 'SELECT $$x$$::text', 'type in pg_temp' ],
	[ 'less_careless', 'SELECT * FROM event', 'table in pg_temp' ])
{
	my ($function, $sql, $name) = @$_;
	my $before = $node->safe_psql('trapped', $caught) || 0;
	errors('app', 'trapped', "SELECT public.lay('pg_temp');", "SELECT p.$function('$sql')");
	cmp_ok($node->safe_psql('trapped', $caught) || 0, '>', $before, "the trap works: $name");
}

# settings of a session change no score
as('boss', 'clean', "INSERT INTO p.lead (lead_id, email, consented_at, created_at, updated_at) VALUES (70, 'a\@example.com', '2025-01-01 00:00+00', '2025-01-01 00:00+00', '2025-01-01 00:00+00')");
as('app', 'clean', "SET timezone = 'Pacific/Kiritimati'; SET datestyle = 'SQL, DMY'; SET intervalstyle = 'iso_8601'; SET standard_conforming_strings = off; SET extra_float_digits = 0; SET bytea_output = 'escape';
	INSERT INTO p.event (lead_id, kind, occurred_at) VALUES (70, 'quote_request', '2025-01-02 23:30:00+00'), (70, 'pricing_view', '2025-01-02 00:10:00+00')");
as('boss', 'clean', "SET timezone = 'America/Adak'; SET datestyle = 'German'; SET row_security = off; SELECT p.rebuild(); SELECT p.rebuild()");
is(as('boss', 'clean', "SET timezone = 'UTC'; SELECT p.score_by_id(70, '2025-01-02'), activity ~ '\@2025-01-02:1.*\@2025-01-02:1' FROM (SELECT activity::text FROM p.lead_state WHERE lead_id = 70) s"), '35|t', 'whatever the session has set');
is(as('boss', 'clean', 'SELECT * FROM p.verify()'), '', 'verify() at last');

$node->stop;
done_testing();
