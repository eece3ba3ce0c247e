# A cluster with Citus, and a server without it to compare with.
package Citus;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Cluster;
use Test::More;

our @EXPORT = qw(skip_without_citus new_nodes add_node);

# All nodes stop, though one may have ended before the test.
my @started;

END
{
	my $status = $?;
	$_->stop('immediate', fail_ok => 1) foreach @started;
	$? = $status;
}

sub skip_without_citus
{
	my $sharedir = qx{$ENV{PG_CONFIG} --sharedir} || '';
	chomp $sharedir;
	plan skip_all => 'Citus is not installed' unless -e "$sharedir/extension/citus.control";
	return;
}

# Citus connects to a node by its directory of sockets
sub new_node
{
	my ($name, $citus) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init;
	$node->append_conf('postgresql.conf', "fsync = off\njit = off\nmax_prepared_transactions = 50\nmax_connections = 100\nshared_buffers = 32MB\n"
		. ($citus ? "shared_preload_libraries = 'citus'\ncitus.shard_count = 4\ncitus.enable_version_checks = off\ncitus.enable_statistics_collection = off\nmax_worker_processes = 20\ncitus.local_hostname = '" . $node->host . "'\n" : ''));
	$node->start;
	push @started, $node;
	$node->safe_psql('postgres', 'CREATE EXTENSION citus') if $citus;
	return $node;
}

# add_node(COORDINATOR, NAME): a new worker
sub add_node
{
	my ($coordinator, $name) = @_;
	my $node = new_node($name, 1);
	$coordinator->safe_psql('postgres', sprintf "SELECT citus_add_node('%s', %d)", $node->host, $node->port);
	return $node;
}

# new_nodes(N): a server without Citus, a coordinator and N workers, with leadscore
# and the roles owner, app and reader
sub new_nodes
{
	my ($workers) = @_;
	my $whole = new_node('whole', 0);
	my $coordinator = new_node('coordinator', 1);
	$coordinator->safe_psql('postgres', sprintf "SELECT citus_set_coordinator_host('%s', %d)", $coordinator->host, $coordinator->port);
	my @workers = map { add_node($coordinator, "worker$_") } 1 .. $workers;
	# the owner of a pipeline needs this right and no other
	$_->safe_psql('postgres', 'CREATE ROLE owner LOGIN; GRANT CREATE ON DATABASE postgres TO owner; CREATE ROLE app LOGIN; CREATE ROLE reader LOGIN; CREATE EXTENSION leadscore')
		foreach $whole, $coordinator;
	return ($whole, $coordinator, @workers);
}

1;
