# META.json is what PGXN's specification of metadata, version 1.0.0, demands,
# what it says of the files is true, and every place that has the version of
# the extension has the same.

use strict;
use warnings;

use File::Basename;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = dirname(__FILE__) . '/../..';
my $semantic = qr/^(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)(?:-?[A-Za-z][A-Za-z0-9-]*)?$/;

# Values: each returns true if it is one.
my $text = sub { defined $_[0] && !ref $_[0] && $_[0] =~ /\S/ };
my $version = sub { $text->($_[0]) && $_[0] =~ $semantic };
my $term = sub { $text->($_[0]) && length $_[0] >= 2 && $_[0] !~ m{[\s[:cntrl:]/\\]} };
my $tag = sub { $text->($_[0]) && length $_[0] <= 256 && $_[0] !~ m{[[:cntrl:]/\\]} };
my $url = sub { $text->($_[0]) && $_[0] =~ m{^[a-z][a-z0-9+.-]*://[^/\s]+}i };
my $path = sub { $text->($_[0]) && $_[0] !~ m{^/|\\|(^|/)\.\.(/|$)} && -f "$top/$_[0]" };
my $folder = sub { $text->($_[0]) && -d "$top/$_[0]" };
my $range = sub { $text->($_[0]) && !grep { !/^(?:(?:[<>]=?|==|!=)\s*)?(\S+)$/ || $1 ne '0' && $1 !~ $semantic } split /,\s*/, $_[0] };
my $license = sub { $text->($_[0]) && $_[0] eq 'postgresql' };
my $status = sub { $text->($_[0]) && $_[0] =~ /^(?:stable|testing|unstable)$/ };

# list_of(VALUE): one such value, or an array of them that is not empty.
sub list_of
{
	my ($value) = @_;
	return sub { my @all = ref $_[0] eq 'ARRAY' ? @{ $_[0] } : ($_[0]); return @all && !grep { !$value->($_) } @all };
}

# map_of(KEY, VALUE): an object with such keys and values, and not empty.
sub map_of
{
	my ($key, $value) = @_;
	return sub { ref $_[0] eq 'HASH' && %{ $_[0] } && !grep { !$key->($_) || !$value->($_[0]{$_}) } keys %{ $_[0] } };
}

# fields(FIELDS): an object with these fields; "!" in front of one demands it.
# Other fields begin with "x_".
sub fields
{
	my (%known) = @_;
	return sub {
		my ($object) = @_;
		return 0 if ref $object ne 'HASH';
		my %value = map { s/^!//r => $known{$_} } keys %known;
		return !(grep { /^!(.*)/ && !defined $object->{$1} } keys %known)
		  && !(grep { $value{$_} ? !$value{$_}->($object->{$_}) : !/^x_./i } keys %$object);
	};
}

my $phase = sub { $_[0] =~ /^(?:configure|build|test|runtime|develop)$/ };
my $relation = sub { $_[0] =~ /^(?:requires|recommends|suggests|conflicts)$/ };
my %top = (
	'!name' => $term,
	'!version' => $version,
	'!abstract' => $text,
	'!maintainer' => list_of($text),
	'!license' => list_of($license),
	'!provides' => map_of($term, fields('!file' => $path, '!version' => $version, abstract => $text, docfile => $path)),
	'!meta-spec' => fields('!version' => sub { ($_[0] // '') eq '1.0.0' }, url => $url),
	description => $text,
	generated_by => $text,
	release_status => $status,
	tags => list_of($tag),
	no_index => fields(file => list_of($path), directory => list_of($folder)),
	prereqs => map_of($phase, map_of($relation, map_of($term, $range))),
	resources => fields(homepage => $url, license => list_of($url),
		bugtracker => fields(web => $url, mailto => sub { $_[0] =~ /^[^@\s]+@[^@\s]+$/ }),
		repository => fields(web => $url, url => $url, type => sub { $_[0] =~ /^[a-z]+$/ })));

# problems(META): the fields that are missing, unknown or wrong.
sub problems
{
	my ($meta) = @_;
	my %value = map { s/^!//r => $top{$_} } keys %top;
	my @missing = map { /^!(.*)/ && !defined $meta->{$1} ? $1 : () } keys %top;
	return join ' ', sort @missing, grep { $value{$_} ? !$value{$_}->($meta->{$_}) : !/^x_./i } keys %$meta;
}

my $json = JSON::PP->new->utf8;
my $written = slurp_file("$top/META.json");
my $meta = $json->decode($written);
is(problems($meta), '', 'META.json is as the specification demands');

# each of these would be seen
foreach my $case (
	[ 'license', sub { delete $_[0]{license} } ],
	[ 'version', sub { $_[0]{version} = '0.9' } ],
	[ 'version', sub { $_[0]{version} = '0.09.0' } ],
	[ 'name', sub { $_[0]{name} = 'lead score' } ],
	[ 'provides', sub { delete $_[0]{provides}{leadscore}{file} } ],
	[ 'provides', sub { $_[0]{provides}{leadscore}{docfile} = 'doc/none.md' } ],
	[ 'prereqs', sub { $_[0]{prereqs}{runtime}{requires}{PostgreSQL} = '15' } ],
	[ 'prereqs', sub { $_[0]{prereqs}{running} = delete $_[0]{prereqs}{runtime} } ],
	[ 'meta-spec', sub { $_[0]{'meta-spec'}{version} = '2.0.0' } ],
	[ 'no_index', sub { push @{ $_[0]{no_index}{directory} }, 'none' } ],
	[ 'release_status', sub { $_[0]{release_status} = 'unreleased' } ],
	[ 'resources', sub { $_[0]{resources} = { homepage => 'leadscore' } } ],
	[ 'tags', sub { push @{ $_[0]{tags} }, 'a/b' } ],
	[ 'topics', sub { $_[0]{topics} = [] } ])
{
	my ($field, $break) = @$case;
	my $broken = $json->decode($written);
	$break->($broken);
	is(problems($broken), $field, "a wrong $field is seen");
}

# one extension, one version
my ($default_version) = slurp_file("$top/leadscore.control") =~ /^default_version *= *'(.*)'/m;
my ($in_debian) = slurp_file("$top/debian/changelog") =~ /\A\S+ \(([^)]*)-[^-)]*\)/;
my ($in_changelog) = slurp_file("$top/CHANGELOG.md") =~ /^## (\S+)/m;
is(join(' ', keys %{ $meta->{provides} }), 'leadscore', 'one extension is provided');
like($meta->{version}, qr/^\Q$default_version\E(?:\.\d+)*$/, 'the version of the distribution');
is($meta->{provides}{leadscore}{version}, $meta->{version}, 'that of the extension');
is($in_debian, $meta->{version}, 'that of the Debian packages');
is($in_changelog, $default_version, 'that of the changelog');

done_testing();
