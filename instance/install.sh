#!/bin/bash
# Installs the service on an instance, or brings an installed one up to date.
#
# Run by the Custom Script extension when the instance is made, when this script changes, and
# again when Azure replaces the system disk, so it may find anything from nothing to a running
# service. It asks nothing of vault, storage or roles, which may take minutes to act on a new
# service: that is the agent's work. It ends with an error when the service is not alive.
#
#   CLOUDDP_PREFIX   where to install, / by default
#   CLOUDDP_USER     whom nginx serves as, www-data by default
set -Eeuo pipefail
umask 022

version='@PAYLOAD_VERSION@'
root="${CLOUDDP_PREFIX:-/}"
root="${root%/}"
user="${CLOUDDP_USER:-www-data}"
packages=(nginx libnginx-mod-http-js openssl python3 ca-certificates unattended-upgrades)
alive_seconds=60

say() {
    printf 'clouddp: %s\n' "$*"
}

failed() {
    say "failed at line $1: $2"
    say "what the services said last:"
    journalctl --no-pager --lines 40 --unit clouddp-nginx --unit clouddp-agent 2>&1 || true
}
trap 'failed "$LINENO" "$BASH_COMMAND"' ERR

# Writes a file whole or not at all, @ROOT@ and @USER@ in it filled in.
put() {
    local target="$root/$1"
    mkdir -p "${target%/*}"
    sed -e "s|@ROOT@|$root|g" -e "s|@USER@|$user|g" > "$target.new"
    mv -f "$target.new" "$target"
}

# Repeats a command that needs the network, for about ten minutes.
persistently() {
    local pause=2
    until "$@"; do
        if ((pause > 256)); then
            say "gave up: $*"
            return 1
        fi
        say "will try again in $pause seconds: $*"
        sleep "$pause"
        pause=$((pause * 2))
    done
}

packages_present() {
    local probe found
    for tool in nginx openssl python3; do
        command -v "$tool" > /dev/null || return 1
    done
    probe="$(mktemp)"
    printf 'load_module modules/ngx_http_js_module.so;\nevents {}\n' > "$probe"
    found=0
    nginx -e stderr -t -q -c "$probe" -g 'pid /dev/null;' 2> /dev/null || found=1
    rm -f "$probe"
    return "$found"
}

install_packages() {
    # The distribution's own nginx service would start with its own pages as soon as it is there.
    systemctl mask nginx.service
    export DEBIAN_FRONTEND=noninteractive
    # cloud-init rewrites the package sources in a stage that extensions do not wait for.
    if command -v cloud-init > /dev/null; then
        timeout 300 cloud-init status --wait > /dev/null || true
    fi
    # Where a restart came in the middle of an installation, nothing else can be installed.
    persistently dpkg --configure -a
    persistently get_packages
}

# An update that got no list, which is no error by default, is why an installation finds no package:
# it is tried again with it.
get_packages() {
    local options=(-q -y -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3)
    apt-get "${options[@]}" update --error-on=any &&
        apt-get "${options[@]}" --no-install-recommends install "${packages[@]}"
}

# Each instance restarts at a time of its own, so that one of them always serves. The last six
# characters of a host name in a scale set count the instances, in base 36.
restart_time() {
    local host index
    host="$(hostname)"
    if [[ "$host" =~ ([0-9a-zA-Z]{6})$ ]]; then
        index=$((36#${BASH_REMATCH[1]}))
    else
        index="$(cksum <<< "$host" | cut -d ' ' -f 1)"
    fi
    index=$((index % 16))
    printf '%02d:%02d' $((1 + index / 4)) $((index % 4 * 15))
}

say "installing version $version below ${root:-/}"
if packages_present; then
    say "the packages are there"
else
    install_packages
fi

rm -rf "$root/usr/lib/clouddp"
# The files are written here.
put etc/apt/apt.conf.d/52clouddp << END
// Security updates install themselves; a restart that they need comes at night, at a time that
// differs from the other instances'.
APT::Periodic::Update-Package-Lists "1";
APT::Periodic::Unattended-Upgrade "1";
Unattended-Upgrade::Automatic-Reboot "true";
Unattended-Upgrade::Automatic-Reboot-WithUsers "true";
Unattended-Upgrade::Automatic-Reboot-Time "$(restart_time)";
END

# What the agent keeps secret lies below these folders.
mkdir -p "$root/run/clouddp" "$root/var/log/clouddp" "$root/var/cache/clouddp"
install -d -m 0700 "$root/var/lib/clouddp"

# Nobody signs in to an instance: it is replaced, not repaired.
systemctl mask --now ssh.service ssh.socket

# A new payload has to prove itself before traffic comes in again, and an agent that runs would say
# meanwhile that all is well.
if systemctl --quiet is-active clouddp-agent.service; then
    systemctl stop clouddp-agent.service
fi
rm -f "$root/run/clouddp/ready" "$root/run/clouddp/started" "$root/run/clouddp/alive"
export CLOUDDP_PREFIX="${root:-/}" CLOUDDP_USER="$user" PYTHONPATH="$root/usr/lib/clouddp"
python3 -B -m agent prepare

systemctl daemon-reload
systemctl enable clouddp-nginx.service clouddp-agent.service
systemctl reload-or-restart clouddp-nginx.service
systemctl restart clouddp-agent.service
python3 -B -m agent wait --seconds "$alive_seconds"
say "version $version is alive"
