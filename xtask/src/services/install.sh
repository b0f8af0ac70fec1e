#!/bin/sh
# Installs the package $1 without starting what it holds, now or when the machine starts.
# $2 is where a service of the package writes its process id; empty where it holds none.
# Needs root, and apt-get.
set -eu
package=$1
pid_file=$2
export DEBIAN_FRONTEND=noninteractive

# Goes at the end.
made=
trap 'rm -f $made' EXIT
trap 'exit 1' HUP INT TERM

# Packages ask this program whether their services may be started. Whoever has one, keeps it.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    made="$made $policy"
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi

# Otherwise it would come with a database of its own, which would be started.
if [ "$package" = postgresql ]; then
    settings=/etc/postgresql-common/createcluster.d
    mkdir -p "$settings"
    made="$made $settings/towpath.conf"
    echo 'create_main_cluster = false' >"$settings/towpath.conf"
fi

apt() {
    apt-get -q -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 "$@" </dev/null
}

# A list that cannot be renewed may still do.
apt update || true
apt install -y --no-install-recommends "$package"

if [ -z "$pid_file" ]; then
    exit 0
fi
if [ -d /run/systemd/system ]; then
    systemctl disable --now "$package.service"
elif [ -s "$pid_file" ]; then
    echo "ending the service that was started, process $(cat "$pid_file")"
    kill "$(cat "$pid_file")"
fi
