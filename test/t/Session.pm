# Sessions of psql beside the one of a test: at work, or with a lock that others
# wait for.
package Session;

use strict;
use warnings;

use Exporter 'import';
use IPC::Run;

our @EXPORT = qw(start_session finish hold_session release);

# start_session(NODE, OPTION...): psql that goes on by itself; its output and its
# errors are read when it ends.
sub start_session
{
	my ($node, @options) = @_;
	my %session = (out => '', err => '');
	$session{run} = IPC::Run::start([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), @options ],
		'<', \undef, '>', \$session{out}, '2>', \$session{err});
	return \%session;
}

# Wait until a session ends, in whatever way.
sub finish
{
	my ($session) = @_;
	eval { $session->{run}->finish };
	return $session;
}

# hold_session(NODE, STATEMENT): a transaction that has run a statement and stays open
sub hold_session
{
	my ($node, $statement) = @_;
	my %session = (in => '', out => '', err => '');
	$session{run} = IPC::Run::start([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres') ],
		'<', \$session{in}, '>', \$session{out}, '2>', \$session{err});
	$session{in} .= "BEGIN; $statement;\n\\echo held\n";
	$session{run}->pump until $session{out} =~ /held/ || $session{err};
	die $session{err} if $session{err};
	return \%session;
}

# release(SESSION, STATEMENT): end that transaction, by ROLLBACK if nothing else is said
sub release
{
	my ($session, $statement) = @_;
	$statement //= 'ROLLBACK';
	$session->{in} .= "$statement;\n\\q\n";
	return finish($session);
}

1;
