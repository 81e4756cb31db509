"""What every part of the lab uses: commands, deadlines, locks and the place where the lab keeps its things."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

REPOSITORY = Path(__file__).resolve().parents[2]
T = TypeVar("T")
POLL_SECONDS = 0.02


class LabError(RuntimeError):
    """The lab could not do what a test asked of it; the message says what to do."""


def lab_home() -> Path:
    """The directory that outlives a test run: bases and run directories."""
    home = Path(os.environ.get("LAB_HOME") or REPOSITORY / ".lab").resolve()
    home.mkdir(parents=True, exist_ok=True)
    return home


def run(
    argv: Sequence[str | os.PathLike[str]],
    *,
    stdin: str | bytes | None = None,
    check: bool = True,
    timeout: float = 300,
    env: dict[str, str] | None = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.CompletedProcess[str]:
    """Run a command on this machine and return its text, or raise LabError with what it said."""
    data = stdin.encode("utf-8", "surrogateescape") if isinstance(stdin, str) else stdin
    try:
        done = subprocess.run(
            argv, input=data or b"", capture_output=True, timeout=timeout, env=env, pass_fds=pass_fds, check=False
        )
    except FileNotFoundError as error:
        raise LabError(f"{argv[0]} is missing: run tests/lab/install.sh as root") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{' '.join(map(str, argv))} did not end within {timeout:g} s") from error
    result = subprocess.CompletedProcess(done.args, done.returncode, as_text(done.stdout), as_text(done.stderr))
    if check and result.returncode:
        raise LabError(f"{' '.join(map(str, argv))} ended {result.returncode}: {result.stderr or result.stdout}")
    return result


def as_text(data: bytes) -> str:
    """Decode output without losing a byte."""
    return data.decode("utf-8", "surrogateescape")


def wait_until(check: Callable[[], T], what: str, seconds: float = 30) -> T:
    """Poll until `check` answers something true, or raise LabError at the deadline."""
    deadline = time.monotonic() + seconds
    while not (answer := check()):
        if time.monotonic() > deadline:
            raise LabError(f"waited {seconds:g} s in vain until {what}")
        time.sleep(POLL_SECONDS)
    return answer


@contextlib.contextmanager
def locked(path: Path) -> Iterator[int]:
    """Hold an exclusive lock, which ends with this process and those that were passed its file descriptor."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle.fileno()


def process_started(pid: int) -> int | None:
    """The start time of a live process in clock ticks, or None if it is gone or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def children_of(pid: int) -> list[int]:
    """The direct children of a process."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def end_processes_of(directory: Path) -> None:
    """Kill what was started with this directory on its command line, and the children of that, and nothing else."""
    name = os.fsencode(directory.resolve()) + b"/"
    for place in Path("/proc").glob("[0-9]*"):
        pid = int(place.name)
        with contextlib.suppress(OSError):
            if name in (place / "cmdline").read_bytes() and pid not in _own_line():
                for doomed in (pid, *children_of(pid)):
                    os.kill(doomed, signal.SIGKILL)


def _own_line() -> set[int]:
    """This process and its ancestors."""
    line = {pid := os.getpid()}
    with contextlib.suppress(OSError, ValueError):
        while pid > 1:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
            line.add(pid)
    return line


def unmount_below(directory: Path) -> None:
    """Unmount everything mounted in a directory, innermost first."""
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    prefix = f"{directory.resolve()}/"
    for mount in reversed([mount for mount in mounts if mount.startswith(prefix)]):
        run(["umount", "-l", mount])


def remove_tree(path: Path) -> None:
    """Remove a tree, immutable files included."""
    if not path.exists():
        return
    if run(["rm", "-rf", "--one-file-system", path], check=False).returncode:
        run(["chattr", "-R", "-f", "-i", "-a", path], check=False)
        run(["rm", "-rf", "--one-file-system", path])
