"""Repositories of restic and borg on a lab host, good ones and each kind of bad one."""

from __future__ import annotations

from tests.lab.hosts import LabHost

PASSWORD = "correct horse"
PASSWORD_FILE = "/root/backup-password"
DATA = "/srv/data"

PREPARE = f"""
set -e
mkdir -p {DATA}/docs /srv/restic /srv/borg
printf '%s\\n' '{PASSWORD}' > {PASSWORD_FILE}
chmod 600 {PASSWORD_FILE}
head -c 400000 /dev/urandom > {DATA}/large
for n in 1 2 3 4 5; do echo "$n" > {DATA}/docs/$n; done
ln -s large {DATA}/link; ln {DATA}/large {DATA}/hard
"""

RESTIC = """
set -e
export RESTIC_PASSWORD_FILE=/root/backup-password HOME=/root
restic_in() { repo=/srv/restic/$1; shift; restic --no-cache -q -r $repo "$@"; }
restic_in good init
for name in other old future damaged holes; do cp -a /srv/restic/good /srv/restic/$name; done
restic_in good backup /srv/data
restic_in good backup --time '2020-01-01 00:00:00' /srv/data
restic_in other backup --host elsewhere /srv/data
restic_in old backup --time '2020-01-01 00:00:00' /srv/data
restic_in future backup --time '2090-01-01 00:00:00' /srv/data
restic_in damaged backup /srv/data
pack=$(find /srv/restic/damaged/data -type f -size +100k | head -1)
chmod u+w $pack; dd if=/dev/zero of=$pack bs=1 seek=1000 count=64 conv=notrunc 2>/dev/null
mkdir -p /srv/closed/inside; echo secret > /srv/closed/inside/x; chmod 700 /srv/closed/inside; echo y > /srv/closed/y
cp /root/backup-password /srv/closed.password; chown -R plain /srv/restic/holes /srv/closed.password
"""

HOLES = (
    "systemd-run --wait -q --unit=restic-backup --uid=plain -p 'Environment=RESTIC_PASSWORD_FILE=/srv/closed.password' "
    "restic --no-cache -q -r /srv/restic/holes backup /srv/closed || test $? = 3"
)

BORG = """
set -e
export BORG_PASSPHRASE='correct horse' HOME=/root BORG_BASE_DIR=/tmp/borg-of-the-backup
for name in good other checkpoint damaged old; do borg init -e repokey-blake2 /srv/borg/$name 2>/dev/null; done
borg create --timestamp 2020-01-01T00:00:00 /srv/borg/good::data-1 /srv/data
borg create /srv/borg/good::data-2 /srv/data
borg create /srv/borg/good::other-3 /etc/hostname
borg create /srv/borg/checkpoint::data-1.checkpoint /srv/data
borg create --timestamp 2020-01-01T00:00:00 /srv/borg/old::data-1 /srv/data
borg create /srv/borg/damaged::data-1 /srv/data
segment=$(ls -S /srv/borg/damaged/data/0/* | head -1)
dd if=/dev/zero of=$segment bs=1 seek=200000 count=64 conv=notrunc 2>/dev/null
unshare --uts sh -c 'hostname elsewhere; borg create /srv/borg/other::data-1 /srv/data'
borg init -e none /srv/borg/plain 2>/dev/null
BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes borg create /srv/borg/plain::data-1 /srv/data
rm -rf /tmp/borg-of-the-backup
"""


def make(host: LabHost) -> None:
    """Fill /srv/restic and /srv/borg."""
    for script in (PREPARE, RESTIC, HOLES, BORG):
        host.sh(script)
