"""Everything one test run makes, in one directory, and its end in reverse order."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import shutil
from pathlib import Path
from typing import Any, Protocol, TypeVar

from tests.lab import apt
from tests.lab.acme import Acme
from tests.lab.bases import RELEASES
from tests.lab.containers import Docker
from tests.lab.fleet import Fleet
from tests.lab.hosts import HostSpec, LabHost
from tests.lab.tools import end_processes_of, lab_home, locked, process_started, remove_tree, unmount_below
from tests.lab.wire import Wire

PROGRAMS = (
    "systemd-nspawn", "mmdebstrap", "dpkg-deb", "dpkg-scanpackages", "apt-ftparchive", "mkfs.ext4", "debugfs",
    "dockerd", "pebble", "prometheus", "prometheus-alertmanager", "ssh", "ssh-keygen", "nsenter", "gpg",
)  # fmt: skip


class Closable(Protocol):
    """What a run has to end."""

    def close(self) -> None:
        """End it and remove its files."""


C = TypeVar("C", bound=Closable)


class Lab:
    """Makes hosts and what they need; `close` ends all of it."""

    def __init__(self) -> None:
        runs = lab_home() / "runs"
        with locked(lab_home() / "runs.lock"):
            sweep(runs)
            self.directory = runs / f"{os.getpid()}-{process_started(os.getpid())}"
            self.directory.mkdir(parents=True)
        self._count = itertools.count(1)
        self._made: list[Closable] = []

    def fleet(self, *specs: HostSpec) -> Fleet:
        """A fleet of its own, with its own key and inventory."""
        fleet = self._keep(Fleet(self.place("fleet")))
        fleet.boot(*specs)
        return fleet

    @functools.cached_property
    def releases(self) -> Fleet:
        """Three hosts, named like their releases, shared by all tests of the run: leave them as they were."""
        return self.fleet(*(HostSpec(release, release, groups=("lab", release)) for release in RELEASES))

    def repository(self, identity: apt.Identity | None = None, *, signed: bool = False) -> apt.Repository:
        """An empty apt repository, Debian's security archive by default."""
        return self._keep(apt.Repository(self.place("apt"), identity or apt.security(), signed=signed))

    def docker(self, host: LabHost | None = None, **options: Any) -> Docker:
        """A running Docker daemon, shown in `host` if one is given."""
        daemon = self._keep(Docker(self.place("docker"), **options)).start()
        if host:
            daemon.give_to(host)
        return daemon

    def acme(self, **options: Any) -> Acme:
        """A running ACME authority."""
        return self._keep(Acme(self.place("acme"), **options)).start()

    def wire(self, host: LabHost) -> Wire:
        """A line to a host that can be cut."""
        return self._keep(Wire(host))

    def place(self, kind: str) -> Path:
        """A fresh directory of this run."""
        return self.directory / f"{kind}{next(self._count)}"

    def end(self, *made: Closable) -> None:
        """Close some of what was made before the run ends, newest first."""
        for one in reversed(made):
            if one in self._made:
                self._made.remove(one)
                one.close()

    def close(self) -> None:
        """Close everything, newest first."""
        self.end(*self._made)
        remove_tree(self.directory)

    def _keep(self, made: C) -> C:
        self._made.append(made)
        return made


def missing() -> str:
    """Why the lab cannot run here, or nothing."""
    if os.geteuid() != 0:
        return "the lab needs root"
    absent = [program for program in PROGRAMS if not shutil.which(program)]
    return f"the lab needs {', '.join(absent)}: run tests/lab/install.sh" if absent else ""


def sweep(runs: Path) -> None:
    """End and remove what runs left that were killed."""
    for leftover in sorted(runs.glob("*-*")):
        pid, _, started = leftover.name.partition("-")
        if str(process_started(int(pid))) == started:
            continue
        for directory in sorted(leftover.glob("fleet*")):
            with contextlib.suppress(OSError, ValueError, KeyError):
                Fleet.attach(directory).stop()
        end_processes_of(leftover)
        unmount_below(leftover)
        remove_tree(leftover)
