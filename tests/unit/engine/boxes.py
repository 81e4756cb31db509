"""Small hosts on this machine: the real helper in namespaces with processes, /var, /root and a machine-id of its own.

A box needs root and `unshare`. It does not see the trash of others who are at work on this machine. Its clock is
`days` ahead, so that the files just made in it are old; the controller's clock of `work()` is ahead by as much.
"""

from __future__ import annotations

import os
import shlex
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from maintenancebot.actions import logs
from maintenancebot.catalog import Answers
from maintenancebot.engine import applying
from maintenancebot.engine.brakes import Brakes
from maintenancebot.engine.cycle import Selected
from maintenancebot.engine.holding import Holding
from maintenancebot.engine.ledger import Ledger
from maintenancebot.engine.probing import Looked
from maintenancebot.engine.work import Work
from maintenancebot.errors import RemoteError
from maintenancebot.model import Action, Change, Host, Outcome, Reason, State, Step, Undo
from maintenancebot.plan.document import make_change
from maintenancebot.policy.budgets import Limits
from maintenancebot.remote import bundle
from maintenancebot.remote.local import LocalExecution, LocalSession
from maintenancebot.settings import Settings
from maintenancebot.store import Store

DAYS = 40
RUN = "20261121T120000Z-abcdef"
UNSHARE = ["unshare", "-m", "-p", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]
ENTER = """\
for mount in $(cut -d" " -f5 /proc/self/mountinfo); do
  trash="${mount%/}/.maintenancebot"
  case "$mount" in "$1"/*) ;; *) [ ! -e "$trash" ] || mount -t tmpfs none "$trash" || exit 9 ;; esac
done
mount --bind "$1/var" /var && mount --bind "$1/machine-id" /etc/machine-id && mount --bind "$1/root" /root || exit 9
shift
exec "$@"
"""
AHEAD = f"import time as _t; _real = _t.time; _t.time = lambda: _real() + {DAYS * 86400}; "


class Box:
    """One small host; `session` is called for each connection and may be replaced by what a test needs."""

    def __init__(self, base: Path, name: str, machine_id: str) -> None:
        self.base = base / name
        self.host = Host(name, "local", connection="local", become=False)
        self.machine_id = machine_id
        self.logs = self.base / "var" / "log" / "app"
        for folder in ("var/lib", "var/log/app", "root"):
            (self.base / folder).mkdir(parents=True, mode=0o755)
        (self.base / "root").chmod(0o700)
        self.become_machine(machine_id)
        self.executions: list[LocalExecution] = []
        self.session: Callable[[], BoxSession] = lambda: BoxSession(self)

    def become_machine(self, machine_id: str) -> None:
        """Let another machine answer under this box's name."""
        (self.base / "machine-id").write_text(machine_id + "\n")

    def write(self, *names: str, content: bytes = b"line\n" * 100) -> None:
        """Make log files; by the box's clock they are old at once."""
        for name in names:
            (self.logs / name).write_bytes(content)

    def names(self) -> list[str]:
        """What lies in the folder of logs."""
        return sorted(path.name for path in self.logs.iterdir())

    @property
    def trash(self) -> list[Path]:
        """The items in the box's trash."""
        return sorted((self.base / "var" / "lib" / "maintenancebot" / "trash").glob("*/item"))

    def change(self, name: str, action: Action = Action.QUARANTINE_FILE) -> Change:
        """The change that a plan would make of a log file."""
        path, found = f"/var/log/app/{name}", (self.logs / name).lstat()
        fields = ("dev", "ino", "size", "mtime_ns", "ctime_ns", "mode", "uid", "gid")
        identity = {"path": path, "root": "/var/log", **{field: getattr(found, f"st_{field}") for field in fields}}
        return make_change(self.host.name, "logs", action, name=path, identity=identity, undo=Undo.TRASH)

    def steps(self, *names: str) -> list[Step]:
        """The steps that move these log files to the trash."""
        rules = settings()
        return logs.steps(rules.tasks[0], rules, [self.change(name) for name in names])

    def kill_helper(self) -> None:
        """End the helper at once, as a crash of the host would."""
        self.executions[-1]._process.kill()
        self.executions[-1]._process.wait()


class BoxSession(LocalSession):
    """A connection to a box."""

    def __init__(self, box: Box) -> None:
        super().__init__(box.host, 20)
        self.box = box

    def start_helper(self) -> LocalExecution:
        *python, program = shlex.split(bundle.COMMAND)
        enter = [*UNSHARE, "/bin/sh", "-c", ENTER, "enter", str(self.box.base)]
        self.box.executions.append(LocalExecution([*enter, *python, AHEAD + program], 20))
        return self.box.executions[-1]


class Told:
    """Keeps what a run tells of its progress; a test may act at any point of it."""

    def __init__(self) -> None:
        self.phases: list[tuple[str, int]] = []
        self.hosts: dict[str, State] = {}
        self.begun: list[str] = []  # names of the changes, in the order in which they were permitted
        self.steps: list[tuple[str, str, State]] = []
        self.before: Callable[[str, str], object] = lambda host, name: None  # a change was permitted
        self.after: Callable[[str, str], object] = lambda host, name: None  # a change has an outcome

    def start(self, total: int, phase: str) -> None:
        self.phases.append((phase, total))

    def host(self, name: str, state: State | None, note: str) -> None:
        if state is not None:
            self.hosts[name] = state
        elif note != "probing":
            self.begun.append(note)
            self.before(name, note)

    def step(self, host: str, name: str, state: State) -> None:
        self.steps.append((host, name, state))
        self.after(host, name)

    def finish(self) -> None:
        pass


def settings(*tasks: Mapping[str, Any], **more: Any) -> Settings:
    """A configuration; by default every *.log of a box goes to the trash."""
    return Settings.model_validate({"tasks": list(tasks) or [cleanup()], "ssh": {"idle_timeout": 20}, **more})


def cleanup(name: str = "logs", **more: Any) -> dict[str, Any]:
    """A task that cleans the logs of a box."""
    pattern = {"path": "/var/log/app/*.log", "retention_days": 30, **more}
    return {"name": name, "type": "cleanup", "patterns": [pattern]}


def verify(name: str = "backups") -> dict[str, Any]:
    """A task that looks for backups in a box."""
    source = {"type": "files", "path": "/var/log/app/*.gz"}
    return {"name": name, "type": "verify", "check": "backup_completed_within_24h", "sources": [source]}


def clock() -> datetime:
    """The time in the boxes."""
    return datetime.now(UTC) + timedelta(days=DAYS)


def work(boxes: Sequence[Box], rules: Settings | None = None, run_id: str = RUN, told: Told | None = None) -> Work:
    """The surroundings of a run on boxes; a host that is no box cannot be reached."""
    by_name = {box.host.name: box for box in boxes}

    def connect(host: Host) -> BoxSession:
        if host.name not in by_name:
            raise RemoteError(Reason.UNREACHABLE, "Connection refused")
        return by_name[host.name].session()

    return Work(run_id, rules or settings(), connect, clock, told or Told(), threading.Event(), len(boxes))


def ledger_of(store: Store, run_id: str = RUN, digest: str = "d" * 64, limits: Limits | None = None) -> Ledger:
    """What a run writes down, by the clock of the boxes."""
    return Ledger(Holding(store, work([], run_id=run_id)), digest, limits)


def apply_held(
    host: Host, machine_id: str, steps: Sequence[Step], acting: Mapping[str, Answers], ledger: Ledger, brakes: Brakes
) -> dict[str, Outcome]:
    """Make the steps while the host is held, as a run does."""
    with ledger.holding.host(host.name, "a test", wait=20):
        return applying.apply(host, machine_id, steps, acting, brakes._work, ledger, brakes)


class NoRefresh:
    """Renews no package lists."""

    def begin(self, item: Selected) -> bool:
        return False

    def end(self, item: Selected, looked: Looked) -> None:
        raise AssertionError("was not begun")


def can_make_boxes() -> bool:
    """Whether this machine lets us."""
    return os.geteuid() == 0 and os.path.exists("/usr/bin/unshare")
