"""A tree full of traps, with folders, files and links swapped all the time: nothing outside is touched, ever."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from maintenancebot.model import Reason
from tests.lab import hostile

from ..conftest import SmallHost
from ..ways import WAYS, take

RUNS = int(os.environ.get("LAB_RUNS", "3"))
MANY = int(os.environ.get("LAB_FILES", "300"))
MEMORY_KIB = 64 * 1024
MEASURED = """
import atexit, runpy, sys
def tell():
    with open("/proc/self/status") as status, open(sys.argv[1], "a") as stream:
        stream.writelines(line.split()[1] + "\\n" for line in status if line.startswith("VmHWM"))
atexit.register(tell)
runpy.run_path(sys.argv[2], run_name="__main__")
"""


class Trap:
    """A small host whose allowed tree is hostile, beside the victim."""

    def __init__(self, host: SmallHost) -> None:
        self.host, self.victim, self.memory = host, host.base / "victim", host.base / "memory"
        hostile.build(host.logs, self.victim, 1, MANY, str(self.victim))
        *_, victim = hostile.open_folders(host.logs, self.victim)
        for run in range(1, RUNS):
            hostile.fill(victim, run)
        self.folders = hostile.open_folders(host.logs)
        hostile.lock_attributes(host.logs, "+")
        self._wrap()

    def _wrap(self) -> None:
        """Bind mounts that only the helper sees, and its memory measured.

        What the tree's links lead to are copies: code that is broken must not cost this machine its /etc.
        """
        tree, wrapper = self.host.logs, self.host.base / "measured"
        copies = [(self.host.base / name, place) for name, place in (("etc", "/etc"), ("log", "/var/log"))]
        for copy, place in copies:
            subprocess.run(["cp", "-a", place, copy], check=True)
        self.outside = [self.victim, *(copy for copy, _ in copies)]
        bound = [(self.victim, f"{tree}/bound"), (self.victim / "precious.log", f"{tree}/bound-file.log"), *copies]
        mounts = " && ".join(f"mount --bind {source} {target}" for source, target in bound)
        inner = self.host.base / "inner"
        inner.write_text(f"#!/bin/sh\nshift\nexec {self.host.python} -B {self.host.base}/measure.py {self.memory} $1\n")
        (self.host.base / "measure.py").write_text(MEASURED)
        wrapper.write_text(
            f'#!/bin/sh\nexec unshare -m --propagation slave sh -c \'{mounts} && exec {inner} "$@"\' sh "$@"\n'
        )
        for script in (inner, wrapper):
            script.chmod(0o755)
        self.host.python = str(wrapper)

    def peak(self) -> int:
        """The most memory that any call took."""
        return max(map(int, self.memory.read_text().split()))

    def patterns(self, run: int) -> list[dict]:
        forms = (f"**/run{run}-*", "odd/**/*", "swap/**/file*.log", "bound*")
        found = [{"path": f"{self.host.logs}/{form}", "retention_days": 30, "links": run % 2 == 1} for form in forms]
        return [*found, {"path": f"{self.host.logs}/many/**/*", "retention_days": 3000}]


@pytest.fixture(params=WAYS)
def trap(host: SmallHost, request: pytest.FixtureRequest) -> Iterator[Trap]:
    trap = Trap(take(request.param, host))
    try:
        yield trap
    finally:
        hostile.lock_attributes(host.logs, "-")


def test_nothing_outside_is_touched_and_every_refusal_has_its_reason(trap: Trap) -> None:
    host = trap.host
    before, files = [hostile.told(place) for place in trap.outside], hostile.inodes(host.logs)
    words = [sys.executable, "-c", hostile.SWAPPER, str(host.logs), str(time.time() + 3600)]
    swapper = subprocess.Popen(words, stderr=subprocess.PIPE)
    moved: list[str] = []
    reasons: dict[str, int] = {}
    try:
        with open(host.logs / "odd" / "open.log"):
            for run in range(RUNS):
                for folder in trap.folders if run else ():
                    hostile.fill(folder, run)
                seen = host.probe(patterns=trap.patterns(run))
                assert set(seen["facts"]["kept"]) <= set(Reason)
                changes = [_change(number, one) for number, one in enumerate(seen["findings"])]
                for one, change in zip(host.step("trash.trash.move", changes), changes, strict=True):
                    assert one["reason"] in set(Reason) - {"", "helper_error"}, one
                    assert one["state"] in ("done", "skipped", "nothing"), one
                    moved += [change["object"]["path"]] * (one["state"] == "done")
                    reasons[one["reason"]] = reasons.get(one["reason"], 0) + 1
        assert swapper.poll() is None, swapper.stderr.read()
    finally:
        swapper.kill()
        swapper.communicate()
    print(json.dumps({"runs": RUNS, "moved": len(moved), "reasons": reasons, "peak_kib": trap.peak()}))
    assert [hostile.told(place) for place in trap.outside] == before
    held = [item["data"]["path"] for item in host.trash()]
    assert sorted(held) == sorted(moved)
    assert all(path.startswith(f"{host.logs}/") for path in held)
    items = hostile.inodes(host.home / "maintenancebot" / "trash")
    assert files <= hostile.inodes(host.logs) | items
    _calm_went_and_traps_stay(host.logs, moved)
    assert trap.peak() < MEMORY_KIB


def _calm_went_and_traps_stay(tree: Path, moved: list[str]) -> None:
    calm = {f"{tree}/calm/run{run}-{number}.log" for run in range(RUNS) for number in range(hostile.FILES)}
    odd = {os.fsencode(name) for name in os.listdir(tree / "odd")}
    assert calm <= set(moved)
    assert not odd.intersection(hostile.ODD)
    stay = ("open", "sticky", "immutable", "append", "hard", "fifo", "null", "loop", "socket")
    assert {f"{name}.log".encode() for name in stay} <= odd
    assert not any(path.startswith((f"{tree}/bound", f"{tree}/odd/log/", f"{tree}/odd/etc/")) for path in moved)
    assert sum("/deep/" in path for path in moved) == 1


def _change(number: int, finding: dict) -> dict:
    identity = finding["data"]["identity"]
    return {"id": f"c{number}", "task": "logs", "action": "quarantine_file", "object": identity}
