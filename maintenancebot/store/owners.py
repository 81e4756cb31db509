"""Which process this is, and whether another one is still there."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from maintenancebot.model import Json

_PROC = Path("/proc")


@dataclass(frozen=True)
class Owner:
    """A process, told apart from every other one: process ids come again, boots and start times do not."""

    machine: str  # machine-id
    boot: str  # boot-id
    namespace: str  # of process ids: a container has its own
    pid: int
    started: str  # clock ticks since the boot
    token: str  # random

    def to_json(self) -> dict[str, Json]:
        """The form in which it is stored."""
        return asdict(self)


def this_process() -> Owner:
    """Who we are."""
    return Owner(
        machine=_text(Path("/etc/machine-id")),
        boot=_text(_PROC / "sys/kernel/random/boot_id"),
        namespace=_namespace(),
        pid=os.getpid(),
        started=_state_and_start(os.getpid())[1],
        token=secrets.token_hex(8),
    )


def owner_from_json(stored: Mapping[str, Json]) -> Owner:
    """The owner as it was stored."""
    return Owner(**stored)


def is_gone(owner: Owner, us: Owner) -> bool:
    """Whether the process has ended for sure; one that cannot be seen from here counts as there."""
    if owner.boot != us.boot:
        return bool(us.machine) and owner.machine == us.machine
    if owner.namespace != us.namespace or not owner.namespace:
        return False
    return not _is_there(owner)


def _is_there(owner: Owner) -> bool:
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's: it is there
        pass
    state, started = _state_and_start(owner.pid)
    if not started:  # a /proc that hides the processes of others
        return True
    return started == owner.started and state not in ("Z", "X")


def _state_and_start(pid: int) -> tuple[str, str]:
    """A process's state and start time; empty when they cannot be read."""
    told = _text(_PROC / str(pid) / "stat")
    fields = told.rpartition(")")[2].split()  # the name before it may hold blanks and brackets
    return (fields[0], fields[19]) if len(fields) > 19 else ("", "")


def _namespace() -> str:
    try:
        return str((_PROC / "self/ns/pid").readlink())
    except OSError:
        return ""


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii", "replace").strip()
    except OSError:
        return ""
