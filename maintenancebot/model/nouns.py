"""The six nouns and what they hold: frozen values without I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from maintenancebot.model.words import Action, Reason, Risk, State, TaskType, Undo

Json = Any
"""A value that JSON can hold. Host text may carry lone surrogates (bytes that are not UTF-8)."""


@dataclass(frozen=True)
class Host:
    """A server of the inventory; how to reach it and what it is."""

    name: str
    address: str
    port: int = 22
    user: str = "root"
    become: bool | None = None  # None: when the login is not root
    become_method: str = "sudo"  # or "doas"
    key: str = ""  # private key of the login, tried before those of `ssh.keys`
    connection: str = "ssh"  # or "local"
    groups: tuple[str, ...] = ()
    cloud: str = ""
    cloud_id: str = ""  # the machine's id with its cloud
    labels: tuple[tuple[str, str], ...] = ()
    timezone: str = ""
    quorum: str = ""
    via: str = ""  # name of the bastion, itself a host of the inventory
    maintenance: bool = False
    source: str = ""  # which inventory file or source named it
    stale: str = ""  # why the list that names it is too old for changes


@dataclass(frozen=True)
class Mount:
    """A mounted file system as statvfs told it, in bytes and inodes."""

    path: str
    device: str
    fs_type: str
    total: int
    available: int
    inodes: int
    inodes_free: int
    read_only: bool = False


@dataclass(frozen=True)
class HostFacts:
    """What a host says of itself in the probe; `machine_id` is its identity."""

    machine_id: str
    boot_id: str
    hostname: str
    os_id: str
    os_version: str
    kernel: str
    python: str
    uid: int
    clock: float  # the host's clock, seconds since the epoch
    clock_offset: float  # host minus controller, seconds
    mounts: tuple[Mount, ...] = ()
    missing: tuple[str, ...] = ()  # optional python modules and tools the host lacks

    @property
    def is_root(self) -> bool:
        """Whether the helper ran as root."""
        return self.uid == 0


@dataclass(frozen=True)
class Finding:
    """One thing a probe saw for a task: read-only, plain data."""

    task: str
    kind: str
    subject: str
    data: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """One object and what is to be done to it; checked again at the moment of the change."""

    id: str  # digest of host, task, action and object: the same object gets the same id in every plan
    task: str
    action: Action
    name: str  # the object for people: a path, `package=version`, an image's tag or id
    object: Mapping[str, Json]  # the object's identity, all that must still hold when it is touched
    undo: Undo
    risk: Risk = Risk.LOW
    effect: Mapping[str, Json] = field(default_factory=dict)  # expected, e.g. {"freed_now": 0, "freed_at_purge": 4096}
    note: str = ""  # for people, e.g. what undoing cannot give back


@dataclass(frozen=True)
class Decision:
    """The gate's answer for one change."""

    change_id: str
    state: State  # PLANNED: may be done; SKIPPED or WAITING: not, see the reason
    reason: Reason = Reason.NONE
    detail: str = ""
    by_approval: bool = False  # allowed because a person approved it, which is asked again right before

    @property
    def allowed(self) -> bool:
        """Whether the change may be made."""
        return self.state is State.PLANNED


@dataclass(frozen=True)
class Outcome:
    """What became of one change, as measured afterwards."""

    change_id: str
    state: State
    reason: Reason = Reason.NONE
    detail: str = ""
    measured: Mapping[str, Json] = field(default_factory=dict)
    begun: bool = True  # False: leave was never given, so that nothing was tried, whatever the state says


@dataclass(frozen=True)
class Step:
    """Changes that are made in one go, by one operation of the helper."""

    id: str
    task: str
    op: str  # a row of the helper's table of operations
    changes: tuple[Change, ...]
    args: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class ChangeReport:
    """A change with its state, as the report and `--json` show it."""

    change: Change
    state: State
    reason: Reason = Reason.NONE
    detail: str = ""
    measured: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class TaskReport:
    """A task on a host."""

    task: str
    type: TaskType
    state: State
    reason: Reason = Reason.NONE
    detail: str = ""
    changes: tuple[ChangeReport, ...] = ()
    facts: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class HostReport:
    """A host in a run; every host of the inventory has one."""

    host: str
    state: State
    reason: Reason = Reason.NONE
    detail: str = ""
    tasks: tuple[TaskReport, ...] = ()
    facts: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """What a command did, for all hosts."""

    command: str
    run_id: str
    started_at: datetime
    finished_at: datetime
    state: State
    hosts: tuple[HostReport, ...]
    totals: Mapping[str, Json] = field(default_factory=dict)
    notes: tuple[str, ...] = ()  # for people: what was unfinished, which guard is on
