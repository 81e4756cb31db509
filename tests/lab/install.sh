#!/bin/sh
# Install what the lab needs on this machine (Debian, root). Installs only what is missing, starts no service,
# and leaves services that were there before as they are.
set -eu

PACKAGES="acl apt-utils attr borgbackup createrepo-c debian-archive-keyring docker-registry docker.io dpkg-dev e2fsprogs faketime gnupg
  iproute2 logrotate mmdebstrap openssh-client openssh-server openssl podman procps pebble prometheus
  prometheus-alertmanager restic sudo systemd-container util-linux xz-utils zstd"
SERVICES="docker.service docker.socket containerd.service docker-registry.service ssh.service ssh.socket logrotate.timer
  podman.service podman.socket podman-restart.service podman-auto-update.service podman-auto-update.timer
  prometheus.service prometheus-alertmanager.service"
GUARD=/usr/sbin/policy-rc.d

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing=""
for package in $PACKAGES; do
    is_installed "$package" || missing="$missing $package"
done
if [ -z "$missing" ]; then
    echo "lab: nothing to install"
    exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "lab: to install$missing, run this as root" >&2
    exit 1
fi

fresh_services=""
for service in $SERVICES; do
    [ -e "/lib/systemd/system/$service" ] || fresh_services="$fresh_services $service"
done

restore_guard() {
    rm -f "$GUARD"
    [ ! -e "$GUARD.before-lab" ] || mv "$GUARD.before-lab" "$GUARD"
}
trap restore_guard EXIT
trap 'exit 1' HUP INT TERM
[ ! -e "$GUARD" ] || mv "$GUARD" "$GUARD.before-lab"
printf '#!/bin/sh\nexit 101\n' >"$GUARD"  # maintainer scripts start nothing
chmod 755 "$GUARD"

export DEBIAN_FRONTEND=noninteractive
install_missing() {
    # shellcheck disable=SC2086 # a list of words
    apt-get install -y -q --no-install-recommends -o Dpkg::Use-Pty=0 $missing </dev/null
}
apt-cache policy mmdebstrap | grep -q 'Candidate: [0-9]' || apt-get update -q
install_missing || { apt-get update -q && install_missing; }

for service in $fresh_services; do
    systemctl disable "$service" >/dev/null 2>&1 || true  # not at the next boot either
done
echo "lab: installed$missing"
