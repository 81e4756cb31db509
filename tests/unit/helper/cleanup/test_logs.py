"""Choosing: only old, plain, idle files that nobody else looks after; each other one stays with its reason."""

import fcntl
import mmap
import os
import socket
import subprocess
import time

import pytest

from ..conftest import DAY, SmallHost
from ..ways import WAYS, take


@pytest.fixture(params=WAYS)
def host(host: SmallHost, request: pytest.FixtureRequest) -> SmallHost:
    """Everything holds with openat2 and without it."""
    return take(request.param, host)


def kept(host: SmallHost, **more) -> dict:
    return host.probe(**more)["facts"]["kept"]


def due(host: SmallHost, **more) -> list[str]:
    return sorted(os.path.relpath(found["subject"], host.logs) for found in host.probe(**more)["findings"])


def test_old_plain_files_are_due(any_host: SmallHost) -> None:
    path = any_host.file("app/a.log", b"x" * 5000)
    found = any_host.probe()
    (one,) = found["findings"]
    facts = os.stat(path)
    assert one["kind"] == "candidate"
    assert one["data"]["identity"] == {
        "path": os.fsdecode(path),
        "root": str(any_host.logs),
        "dev": facts.st_dev,
        "ino": facts.st_ino,
        "size": 5000,
        "mtime_ns": facts.st_mtime_ns,
        "ctime_ns": facts.st_ctime_ns,
        "mode": facts.st_mode,
        "uid": 0,
        "gid": 0,
    }
    assert (found["state"], found["facts"]["tree_files"], found["facts"]["matched"]) == ("ok", 1, 1)


def test_the_younger_of_mtime_and_ctime_counts(host: SmallHost) -> None:
    path = host.file("a.log")
    os.utime(path, (1, 10**9))  # dated back, but changed just now
    assert kept(host, now=time.time() + 5) == {"too_young": 1}
    os.utime(path, (time.time() + 20 * DAY,) * 2)
    assert kept(host) == {"too_young": 1}


@pytest.mark.parametrize("moment", [0, 1, 300000000, 2**33])
def test_implausible_times_stay(host: SmallHost, moment: int) -> None:
    os.utime(host.file("a.log"), (moment, moment))
    assert kept(host) == {"time_implausible": 1}


def test_links_and_special_files_stay(host: SmallHost) -> None:
    os.symlink("/etc/passwd", host.logs / "link.log")
    os.mkfifo(host.logs / "fifo.log")
    os.mknod(host.logs / "device.log", 0o20666, os.makedev(1, 3))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(host.logs / "socket.log"))
    os.link(host.file("one.log"), host.logs / "two.log")
    os.chmod(host.file("sticky.log"), 0o1640)
    assert kept(host) == {"symlink": 1, "special": 4, "hard_linked": 2}


def test_links_to_folders_are_never_entered(host: SmallHost) -> None:
    host.file("real/a.log")
    os.symlink(host.logs / "real", host.logs / "alias")
    assert due(host) == ["real/a.log"]


def test_a_root_behind_a_link_is_refused(host: SmallHost) -> None:
    host.file("a.log")
    os.symlink(host.logs, host.base / "srv" / "alias")
    pattern = {"path": f"{host.base}/srv/alias/*.log", "retention_days": 1}
    found = host.probe(patterns=[pattern], allow=[f"{host.base}/srv/alias"])
    assert found["findings"] == []
    assert found["facts"]["patterns"][0]["reason"] == "symlink"


def test_a_pattern_outside_the_allowed_trees_finds_nothing(host: SmallHost) -> None:
    host.file("a.log")
    found = host.probe(allow=[f"{host.base}/srv/lo", f"{host.base}/srv/log2"])
    assert (found["findings"], found["facts"]["patterns"][0]["reason"]) == ([], "not_allowed")


def test_files_in_use_stay(any_host: SmallHost) -> None:
    opened, mapped, locked = (any_host.file(f"{name}.log") for name in ("open", "mapped", "locked"))
    with open(mapped, "rb") as stream:
        mapping = mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ)
    with open(opened, "rb"), open(locked, "r+b") as writer:
        fcntl.lockf(writer, fcntl.LOCK_EX)
        found = kept(any_host)
    mapping.close()
    assert found == {"in_use": 2, "locked": 1}


def test_immutable_and_append_only_files_stay(host: SmallHost) -> None:
    paths = [host.file("i.log"), host.file("a.log")]
    try:
        for flag, path in zip(("+i", "+a"), paths, strict=True):
            subprocess.run(["chattr", flag, path], check=True)
        assert kept(host) == {"immutable": 2}
    finally:
        subprocess.run(["chattr", "-ia", *paths], check=True)


def test_protected_and_excluded_files_stay_with_all_below_them(host: SmallHost) -> None:
    for name in ("keep/a.log", "keep/deep/b.log", "audit.log", "skip.log", "go.log"):
        host.file(name)
    found = host.probe(protect=[f"{host.logs}/keep", "audit.*"], exclude=["skip.*"])
    assert found["facts"]["kept"] == {"protected": 3, "kept": 1}
    assert [one["subject"] for one in found["findings"]] == [f"{host.logs}/go.log"]


@pytest.mark.parametrize(
    "name", ["wtmp", "btmp.1", "lastlog", "system.journal", "lost+found/a", "a" * 64 + "-json.log"]
)
def test_logs_with_methods_of_their_own_stay(host: SmallHost, name: str) -> None:
    host.file(name)
    assert kept(host, pattern="**/*") == {"protected": 1}


def test_our_own_files_stay(host: SmallHost) -> None:
    host.file(".maintenancebot-1.tmp")
    host.file(".maintenancebot/trash/x/item")
    assert kept(host, pattern=".*") == {"own_file": 1}
    assert due(host, pattern="**/*") == []


def test_hidden_files_and_folders_are_not_meant_by_wildcards(host: SmallHost) -> None:
    host.file(".hidden.log")
    host.file(".folder/a.log")
    host.file("b.log")
    assert due(host) == ["b.log"]
    assert due(host, pattern=".*.log") == [".hidden.log"]


def test_compressed_files_and_taken_names_are_not_compressed(host: SmallHost) -> None:
    for name in ("a.gz", "b.log", "b.log.gz", "n" * 254):
        host.file(name)
    assert kept(host, pattern="*", compress=True) == {"up_to_date": 2, "target_exists": 1, "name_too_long": 1}


def test_the_list_is_capped_and_the_rest_counted(host: SmallHost) -> None:
    for number in range(7):
        host.file(f"{number}.log")
    found = host.probe(limit=3)
    assert len(found["findings"]) == 3
    assert found["facts"]["kept"] == {"over_cap": 4}


def test_a_file_of_two_patterns_is_due_once(host: SmallHost) -> None:
    host.file("a.log")
    patterns = [{"path": f"{host.logs}/{form}", "retention_days": 1} for form in ("*.log", "**/*")]
    assert len(host.probe(patterns=patterns)["findings"]) == 1


def test_mounts_of_any_kind_are_not_entered(host: SmallHost) -> None:
    """Bind mounts of the same file system, a tmpfs, and a single bound file, in a mount namespace of their own."""
    host.file("here.log")
    (host.base / "other").mkdir()
    (host.base / "other" / "there.log").write_text("there")
    for name in ("bind", "tmp"):
        (host.logs / name).mkdir()
    host.file("bound.log")
    script = f"""
        mount --bind {host.base}/other {host.logs}/bind && mount -t tmpfs none {host.logs}/tmp &&
        touch {host.logs}/tmp/t.log && mount --bind {host.base}/other/there.log {host.logs}/bound.log && exec "$@"
    """
    plain = host.python
    host.python = str(host.base / "python")
    with open(host.python, "w") as stream:
        stream.write(f"#!/bin/sh\nexec unshare -m --propagation slave sh -c '{script}' sh {plain} \"$@\"\n")
    os.chmod(host.python, 0o755)
    found = host.probe()
    assert [one["subject"] for one in found["findings"]] == [f"{host.logs}/here.log"]
    assert found["facts"]["kept"] == {"other_file_system": 3}
    assert found["facts"]["mounts_skipped"] == [f"{host.logs}/{name}" for name in ("bind", "bound.log", "tmp")]


def test_a_tree_of_two_hundred_levels_is_walked(host: SmallHost) -> None:
    here = os.open(host.logs, os.O_RDONLY)
    for level in range(200):
        os.mkdir("d" * 100, dir_fd=here)
        inner = os.open("d" * 100, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
        if level in (0, 199):
            os.close(os.open("deep.log", os.O_CREAT | os.O_WRONLY, 0o640, dir_fd=here))
    os.close(here)
    try:
        assert len(host.probe()["findings"]) == 2
    finally:
        subprocess.run(["rm", "-rf", host.logs / ("d" * 100)], check=True)  # too long a path for pytest to remove
