"""A file becomes a verified .gz of the same owner, mode and times, and itself lies in the trash."""

import gzip
import os
import stat
import subprocess
from pathlib import Path

import pytest

from maintenancebot.helper import frames
from maintenancebot.helper.cleanup import compress
from maintenancebot.helper.files import packing, walk
from maintenancebot.helper.trash import recovery, store

from ..conftest import SmallHost
from ..driver import Gathered

TEXT = b"2026-01-01 something happened\n" * 5000


def test_the_copy_has_the_same_bytes_owner_mode_times_and_attributes(any_host: SmallHost) -> None:
    path = any_host.file("a.log", TEXT, mode=0o640)
    os.chown(path, 1234, 4321)
    os.setxattr(path, "user.note", b"kept")
    subprocess.run(["setfacl", "-m", "u:77:r", path], check=True)
    os.utime(path, ns=(10**18 + 3, 10**18 + 5))
    before = os.stat(path)
    access = os.getxattr(path, "system.posix_acl_access")
    folder_times = os.stat(any_host.logs).st_mtime_ns

    (one,) = any_host.compress()

    assert (one["state"], one["reason"]) == ("done", "verified")
    copy = path + b".gz"
    after = os.stat(copy)
    assert gzip.decompress(Path(os.fsdecode(copy)).read_bytes()) == TEXT
    same = ("st_mode", "st_uid", "st_gid", "st_mtime_ns")
    assert [getattr(after, field) for field in same] == [getattr(before, field) for field in same]
    assert os.getxattr(copy, "user.note") == b"kept"
    assert os.getxattr(copy, "system.posix_acl_access") == access
    assert os.listdir(any_host.logs) == ["a.log.gz"]
    assert os.stat(any_host.logs).st_mtime_ns == folder_times

    (item,) = any_host.trash()
    assert item["data"]["action"] == "compress_file"
    back = any_host.restore(item["subject"])
    assert back["detail"] == f"back at {frames.text(path)}; its compressed copy {frames.text(copy)} stays"
    assert Path(os.fsdecode(path)).read_bytes() == TEXT
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o640


def test_a_default_access_list_of_the_folder_gives_the_copy_nothing(host: SmallHost) -> None:
    path = host.file("a.log", mode=0o600)
    subprocess.run(["setfacl", "-d", "-m", "u:77:rwx", str(host.logs)], check=True)
    (one,) = host.compress()
    assert one["state"] == "done"
    assert "system.posix_acl_access" not in os.listxattr(path + b".gz")
    assert stat.S_IMODE(os.stat(path + b".gz").st_mode) == 0o600


def test_an_existing_copy_is_never_overwritten(host: SmallHost) -> None:
    path = host.file("a.log")
    changes = host.changes(compress=True)
    host.file("a.log.gz", b"somebody else's")
    (one,) = host.step("cleanup.compress.apply", changes)
    assert (one["state"], one["reason"]) == ("skipped", "target_exists")
    assert Path(os.fsdecode(path + b".gz")).read_bytes() == b"somebody else's"
    assert os.path.exists(path)
    assert host.trash() == []


def test_a_copy_that_cannot_be_trusted_is_thrown_away(host: SmallHost, monkeypatch: pytest.MonkeyPatch) -> None:
    path = host.file("a.log")
    (change,) = host.changes(compress=True)
    monkeypatch.setattr(store, "HOME", os.fsencode(host.home))
    monkeypatch.setattr(recovery, "_done", [True])
    monkeypatch.setattr(packing, "digest", lambda source, out: "of other bytes")
    args = {"allow": [str(host.logs)], "protect": [], "keep_days": 1}
    (one,) = compress.apply({"changes": [change], "args": args}, Gathered())
    assert (one["state"], one["reason"]) == ("failed", "compress_mismatch")
    assert os.listdir(host.logs) == ["a.log"]
    assert os.path.exists(path)
    assert host.trash() == []


def test_without_nameless_files_it_goes_by_a_temporary_name(host: SmallHost, monkeypatch: pytest.MonkeyPatch) -> None:
    path = host.file("a.log", TEXT)
    (change,) = host.changes(compress=True)
    monkeypatch.setattr(store, "HOME", os.fsencode(host.home))
    monkeypatch.setattr(recovery, "_done", [True])
    real = os.open

    def without_nameless(name, flags, *args, **more):
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(95, "not supported")
        return real(name, flags, *args, **more)

    monkeypatch.setattr(os, "open", without_nameless)
    args = {"allow": [str(host.logs)], "protect": [], "keep_days": 1}
    (one,) = compress.apply({"changes": [change], "args": args}, Gathered())
    assert one["state"] == "done"
    assert os.listdir(host.logs) == ["a.log.gz"]
    assert gzip.decompress(Path(os.fsdecode(path + b".gz")).read_bytes()) == TEXT


def kill_before_the_file_is_moved(host: SmallHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compress what is due, and die when the first copy has its name and the file is still in its place."""
    (change,) = host.changes(compress=True)
    monkeypatch.setattr(store, "HOME", os.fsencode(host.home))
    monkeypatch.setattr(recovery, "_done", [True])

    class Killed(BaseException):
        pass

    def killed(*_args):
        raise Killed

    monkeypatch.setattr(compress, "hold", killed)
    monkeypatch.setattr(compress.Copy, "withdraw", lambda self: None)
    monkeypatch.setattr(store.Item, "discard", lambda self: None)
    args = {"allow": [str(host.logs)], "protect": [], "keep_days": 1}
    with pytest.raises(Killed):
        compress.apply({"changes": [change], "args": args}, Gathered())
    assert sorted(os.listdir(host.logs)) == ["a.log", "a.log.gz"]
    monkeypatch.undo()


def test_what_a_killed_compression_left_is_removed(host: SmallHost, monkeypatch: pytest.MonkeyPatch) -> None:
    path = host.file("a.log", TEXT)
    kill_before_the_file_is_moved(host, monkeypatch)
    host.step("trash.trash.move", [])
    assert os.listdir(host.logs) == ["a.log"]
    assert Path(os.fsdecode(path)).read_bytes() == TEXT
    assert host.trash() == []


def test_a_file_whose_compression_was_killed_is_compressed_by_the_next_run(
    host: SmallHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = host.file("a.log", TEXT)
    kill_before_the_file_is_moved(host, monkeypatch)
    (one,) = host.compress()
    assert (one["state"], one["reason"]) == ("done", "verified")
    assert os.listdir(host.logs) == ["a.log.gz"]
    assert gzip.decompress(Path(os.fsdecode(path + b".gz")).read_bytes()) == TEXT
    assert len(host.trash()) == 1


def test_a_copy_that_somebody_wrote_to_since_the_kill_stays(host: SmallHost, monkeypatch: pytest.MonkeyPatch) -> None:
    path = host.file("a.log", TEXT)
    kill_before_the_file_is_moved(host, monkeypatch)
    with open(path + b".gz", "ab") as stream:
        stream.write(b"more")
    assert host.changes(compress=True) == []
    host.step("trash.trash.move", [])
    assert sorted(os.listdir(host.logs)) == ["a.log", "a.log.gz"]


def test_a_full_file_system_leaves_all_as_it_was(host: SmallHost, monkeypatch: pytest.MonkeyPatch) -> None:
    host.file("a.log", TEXT)
    (change,) = host.changes(compress=True)
    monkeypatch.setattr(store, "HOME", os.fsencode(host.home))
    monkeypatch.setattr(recovery, "_done", [True])
    monkeypatch.setattr(compress, "SPARE", 2**62)
    args = {"allow": [str(host.logs)], "protect": [], "keep_days": 1}
    (one,) = compress.apply({"changes": [change], "args": args}, Gathered())
    assert (one["state"], one["reason"]) == ("failed", "no_space")
    assert os.listdir(host.logs) == ["a.log"]


def test_a_writer_that_comes_while_it_is_compressed_gets_its_file_back(
    host: SmallHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = host.file("a.log", TEXT)
    (change,) = host.changes(compress=True)
    monkeypatch.setattr(store, "HOME", os.fsencode(host.home))
    monkeypatch.setattr(recovery, "_done", [True])
    writers = []
    real = compress.Copy.publish

    def publish_then_open(self, name):
        real(self, name)
        writers.append(open(path, "ab"))  # noqa: SIM115

    monkeypatch.setattr(compress.Copy, "publish", publish_then_open)
    args = {"allow": [str(host.logs)], "protect": [], "keep_days": 1}
    (one,) = compress.apply({"changes": [change], "args": args}, Gathered())
    writers[0].close()
    assert (one["state"], one["reason"]) == ("skipped", "in_use")
    assert os.listdir(host.logs) == ["a.log"]
    assert walk.OWN_PREFIX not in b"".join(os.listdir(os.fsencode(host.logs)))
