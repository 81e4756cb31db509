"""Debian root trees that the hosts share read-only, made once and kept between runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.lab.tools import LabError, lab_home, locked, remove_tree, run, unmount_below

EDITION = 1  # count up when the code below makes other trees from the same lists
RELEASES = {"bullseye": "3.9", "bookworm": "3.11", "trixie": "3.13"}
PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "openssh-server", "python3", "sudo", "logrotate", "procps", "iproute2",
    "openssl", "ca-certificates", "e2fsprogs",
)  # fmt: skip
VARIANTS: dict[str, tuple[str, ...]] = {
    "": (),
    "web": ("certbot", "python3-certbot-nginx", "nginx-light", "cron"),
    "backup": ("restic", "borgbackup"),
    "mail": ("postfix", "dovecot-imapd", "slapd"),  # listen everywhere unless `prepare` tells them otherwise
    "dnf": ("dnf", "dnf-plugins-core", "rpm"),  # made a host of the rpm family by `rpm.convert`
    "zypper": ("zypper", "rpm"),
    "unpatched": (),  # as released, with every security update since then waiting
}
SILENT_UNITS = (
    "ssh.socket", "systemd-firstboot.service", "console-getty.service", "getty@.service", "container-getty@.service",
    "serial-getty@.service", "getty-static.service", "apt-daily.timer", "apt-daily-upgrade.timer", "certbot.timer",
    "dpkg-db-backup.timer", "e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer", "logrotate.timer",
    "man-db.timer", "systemd-tmpfiles-clean.timer", "systemd-networkd-wait-online.service",
)  # fmt: skip
EVERYWHERE_LISTENERS = (  # hosts share the network: what listens on all addresses would take the port from the others
    "etc/nginx/sites-enabled/default",
    "etc/systemd/system/multi-user.target.wants/nginx.service",
)
USERS = {
    "ops": "ops ALL=(ALL) NOPASSWD: ALL\n",
    "asks": "asks ALL=(ALL) ALL\n",  # sudo wants the password, which is "secret"
    "plain": "",  # no sudo at all
}
AS_RELEASED = (
    'sed -i.full -e /-updates/d -e /-security/d "$1/etc/apt/sources.list"',
    'mv "$1/etc/apt/sources.list.full" "$1/etc/apt/sources.list"',
)


@dataclass(frozen=True)
class Base:
    """One root tree, named by everything that goes into it."""

    release: str
    variant: str = ""

    @property
    def packages(self) -> tuple[str, ...]:
        """What is installed beside Debian's minimum."""
        return PACKAGES + VARIANTS[self.variant]

    @property
    def name(self) -> str:
        """A name that changes with the recipe, so that a tree in use is never rebuilt under its hosts."""
        parts: list[object] = [EDITION, self.packages, SILENT_UNITS, USERS, AS_RELEASED]
        if self.variant == "web":
            parts.append(EVERYWHERE_LISTENERS)
        recipe = json.dumps(parts)
        return "-".join(filter(None, [self.release, self.variant, hashlib.sha256(recipe.encode()).hexdigest()[:8]]))

    @property
    def path(self) -> Path:
        """Where the tree lies."""
        return lab_home() / "bases" / self.name


def base(release: str, variant: str = "") -> Path:
    """The finished tree of a release, built first if it is missing or half made."""
    if release not in RELEASES or variant not in VARIANTS:
        raise LabError(f"no base {release} {variant}: releases are {list(RELEASES)}, variants {list(VARIANTS)}")
    wanted = Base(release, variant)
    stamp = wanted.path.with_name(wanted.name + ".done")
    with locked(wanted.path.with_name(wanted.name + ".lock")) as lock:
        if not (stamp.exists() and wanted.path.is_dir()):
            stamp.unlink(missing_ok=True)
            unmount_below(wanted.path)
            remove_tree(wanted.path)
            _make(wanted, lock)
            stamp.touch()
    return wanted.path


def build(wanted: Iterable[Base]) -> list[Path]:
    """All wanted trees, missing ones built side by side."""
    with ThreadPoolExecutor(3) as pool:
        return list(pool.map(lambda one: base(one.release, one.variant), wanted))


def _make(wanted: Base, lock: int) -> None:
    setup, customize = AS_RELEASED
    hooks = [f"--setup-hook={setup}", f"--customize-hook={customize}"] if wanted.variant == "unpatched" else []
    options = ["--mode=root", "--variant=minbase", f"--include={','.join(wanted.packages)}", *hooks]
    run(["mmdebstrap", *options, wanted.release, wanted.path], timeout=1800, pass_fds=[lock])
    _add_users(wanted.path)
    _silence(wanted.path)


def _add_users(tree: Path) -> None:
    for name, rule in USERS.items():
        run(["chroot", tree, "useradd", "--create-home", "--shell", "/bin/bash", name])
        if rule:
            sudoers = tree / "etc/sudoers.d" / name
            sudoers.write_text(rule)
            sudoers.chmod(0o440)
    run(["chroot", tree, "chpasswd"], stdin="asks:secret\n")


def _silence(tree: Path) -> None:
    for unit in SILENT_UNITS:
        link = tree / "etc/systemd/system" / unit
        link.unlink(missing_ok=True)
        link.symlink_to("/dev/null")
    for key in (tree / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    for path in EVERYWHERE_LISTENERS:
        (tree / path).unlink(missing_ok=True)
    (tree / "etc/machine-id").write_text("")
