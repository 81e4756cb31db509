"""Deleted files that are open are named with process and bytes, each once; memory is not space of a disk."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from maintenancebot.helper.host import deleted, usage

from ..conftest import SmallHost

HOLD = """
import mmap, os, sys
how, path = sys.argv[1:]
stream = open(path, "r+b")
if how == "mapped":
    kept = mmap.mmap(stream.fileno(), 0)
    os.closerange(3, 50)  # the mapping has a descriptor of its own
print("x", flush=True)
sys.stdin.read()
"""


class Holder:
    def __init__(self, path: Path, how: str = "open") -> None:
        words = [sys.executable, "-c", HOLD, how, str(path)]
        self.child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.child.stdout.read(1)

    def __enter__(self) -> int:
        return self.child.pid

    def __exit__(self, *_: object) -> None:
        self.child.communicate()


def rows(below: Path) -> list[dict]:
    return [row for row in usage.Users().scan().deleted_open if row["path"].startswith(f"{below}/")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "gone (deleted)\n.log"
    found.write_bytes(b"x" * 300_000)
    os.sync()  # so that it has its blocks
    return found


@pytest.mark.parametrize("how", ["open", "mapped"])
def test_process_and_bytes_are_named(path: Path, how: str) -> None:
    was = path.stat()
    with Holder(path, how) as pid:
        assert rows(path.parent) == []
        path.unlink()
        (row,) = rows(path.parent)
    assert (row["pid"], row["processes"], row["bytes"], row["dev"]) == (pid, 1, was.st_blocks * 512, was.st_dev)
    assert row["process"].startswith("python")
    assert os.path.samefile(os.path.join(row["mount"], os.path.relpath(path.parent, row["mount"])), path.parent)
    assert rows(path.parent) == []


def test_a_file_that_several_have_open_counts_once(path: Path) -> None:
    with Holder(path) as one, Holder(path, "mapped") as two, Holder(path, "mapped") as three:
        path.unlink()
        (row,) = rows(path.parent)
        assert row["processes"] == 3
        assert row["pid"] in (one, two, three)


def test_the_path_is_the_one_it_had(tmp_path: Path) -> None:
    plain = tmp_path / "plain.log"
    plain.write_bytes(b"x" * 5000)
    os.sync()
    with Holder(plain):
        plain.unlink()
        assert [row["path"] for row in rows(tmp_path)] == [str(plain)]


def test_memory_is_not_space_of_a_disk() -> None:
    place = Path("/dev/shm/maintenancebot-test")
    place.write_bytes(b"x" * 300_000)
    memory = os.memfd_create("maintenancebot-test")
    os.write(memory, b"x" * 300_000)
    child = subprocess.Popen(["sleep", "60"], pass_fds=[memory])
    try:
        with Holder(place):
            place.unlink()
            assert [row for row in usage.Users().scan().deleted_open if "maintenancebot-test" in row["path"]] == []
    finally:
        child.kill()
        child.wait()
        os.close(memory)


def test_totals_are_per_file_system() -> None:
    told = [{"mount": "/a", "dev": 1, "bytes": 5}, {"mount": "/b", "dev": 2, "bytes": 9}]
    assert deleted.totals([*told, {"mount": "/a", "dev": 1, "bytes": 6}]) == [
        {"mount": "/a", "dev": 1, "bytes": 11, "files": 2},
        {"mount": "/b", "dev": 2, "bytes": 9, "files": 1},
    ]


def test_the_probe_tells_them(host: SmallHost) -> None:
    path = Path(os.fsdecode(host.file("big.log", b"x" * 50_000_000)))
    os.sync()
    with Holder(path):
        path.unlink()
        facts = host.probe()["facts"]
    assert str(path) in [row["path"] for row in facts["deleted_open"]]
    assert sum(row["bytes"] for row in facts["deleted_open_totals"]) >= 50_000_000


def test_what_is_remembered_is_bounded_and_then_the_kernel_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "MOST", 1)
    path = tmp_path / "a.log"
    path.write_text("x")
    users = usage.Users().scan()
    assert len(users.open) <= 1
    assert users.reason(path.stat()) == "use_unknown"
