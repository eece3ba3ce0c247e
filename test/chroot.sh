# Chroots of Debian, for test/test-all and test/package, which source this file.
# Making one needs root and a Debian system: it is filled from the package
# archive that apt on this machine uses.

cache=${LEADSCORE_CHROOTS:-$HOME/.cache/leadscore}

# The Debian release of this machine.
own_release()
{
	(. /etc/os-release && echo "${VERSION_CODENAME:-}")
}

# The archive that apt on this machine takes Debian's packages from.
archive()
{
	apt-get indextargets --format '$(RELEASE) $(SITE)' 'Created-By: Packages' 'Component: main' |
		awk -v release="$(own_release)" '$1 == release { print $2; exit }'
}

# bare_chroot RELEASE ROOT: make a chroot that has the smallest Debian only.
# Archives may be older than the clock says, so no look at their dates; no
# service may start inside.
bare_chroot()
{
	local release=$1 root=$2 script=$1 site

	if [ "$(id -u)" -ne 0 ] || ! type apt-get >/dev/null 2>&1
	then
		echo "there is no $root, and making it needs root and apt" >&2
		return 1
	fi
	mkdir -p "$cache"
	if ! type debootstrap >/dev/null 2>&1
	then
		apt-get -qq update
		DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 \
			install -y --no-install-recommends debootstrap
	fi
	site=$(archive)
	[ -n "$site" ] || { echo "apt on this machine uses no Debian archive" >&2; return 1; }
	[ -e "/usr/share/debootstrap/scripts/$release" ] || script=sid
	rm -rf "$root"
	# what it mounts ends with it, even if it is broken off
	unshare --mount debootstrap --variant=minbase "$release" "$root" "$site" "$script"

	printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
	chmod +x "$root/usr/sbin/policy-rc.d"
	{
		echo 'Acquire::Check-Valid-Until "false";'
		apt-config dump Acquire | grep -i proxy || true
	} >"$root/etc/apt/apt.conf.d/90leadscore"
}

# as_root_in ROOT CMD...: in the chroot, with /proc, as its root.
as_root_in()
{
	unshare --mount sh -c 'mount -t proc proc "$1/proc"; root=$1; shift; exec chroot "$root" "$@"' sh "$@"
}

# install_in ROOT PACKAGE...: install packages, and no others than they need.
install_in()
{
	local root=$1
	shift

	as_root_in "$root" sh -c 'apt-get -qq update && DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 \
		apt-get -qq install -y --no-install-recommends "$@"' sh "$@"
}
