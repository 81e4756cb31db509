"""A disk without room loses nothing and gets no debris; what frees space works on it."""

import errno
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from maintenancebot.helper.files import folders, pins, walk

from ..conftest import SmallHost, TwoDisks, told
from ..mounts import debris, mounted

TEXT = b"2026-01-01 something happened\n" * 5000


@pytest.fixture
def full(tmp_path: Path) -> Iterator[SmallHost]:
    """A host whose tree and trash lie on one small disk without reserved blocks."""
    if os.geteuid() != 0:
        pytest.skip("works on files as root")
    with mounted(tmp_path / "disk", "ext4", 16, "-m", "0", "-N", "64") as disk:
        yield SmallHost(disk / "host")


def fill(host: SmallHost) -> Path:
    """Take all blocks of the disk."""
    filler = host.base / "filler"
    with filler.open("wb", buffering=0) as stream:
        try:
            while True:
                stream.write(bytes(65536))
        except OSError:
            pass
        try:
            while True:
                stream.write(bytes(512))
        except OSError:
            pass
    os.sync()
    assert os.statvfs(host.base).f_bavail == 0
    return filler


def use_all_inodes(host: SmallHost) -> None:
    number = 0
    try:
        while True:
            (host.base / f"empty-{number}").touch()
            number += 1
    except OSError:
        assert os.statvfs(host.base).f_favail == 0


@pytest.mark.parametrize("what", ["blocks", "inodes"])
@pytest.mark.parametrize("keep", ["here", "compressed"])
def test_a_move_on_a_full_disk_leaves_the_file_in_its_place(full: SmallHost, what: str, keep: str) -> None:
    path = full.file("a.log", TEXT)
    changes, before = full.changes(), told(path)
    full.step("trash.trash.purge", [])
    fill(full) if what == "blocks" else use_all_inodes(full)
    (one,) = full.step("trash.trash.move", changes, keep=keep)
    assert (one["state"], one["reason"]) == ("failed", "no_space")
    assert told(path) == before
    assert full.trash() == []
    assert debris(full.base) == []


def test_compressing_uses_what_is_kept_for_root(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("works on files as root")
    with mounted(tmp_path / "disk", "ext4", 32, "-m", "30") as disk:
        host = SmallHost(disk / "host")
        path = host.file("a.log", TEXT * 20)
        before = told(path)
        host.step("trash.trash.purge", [])
        room = os.statvfs(disk)
        with (disk / "filler").open("wb") as filler:
            os.posix_fallocate(filler.fileno(), 0, room.f_bavail * room.f_frsize)
        assert os.statvfs(disk).f_bavail == 0
        (one,) = host.step("trash.trash.move", host.changes(), keep="compressed")
        assert (one["state"], one["reason"], one["detail"]) == ("done", "verified", "")
        assert one["measured"]["freed_now"] > len(TEXT) * 15
        (item,) = host.trash()
        assert host.restore(item["subject"])["reason"] == "no_space"
        (disk / "filler").unlink()
        assert host.restore(item["subject"])["state"] == "done"
        assert told(path) == before


@pytest.mark.parametrize("what", ["blocks", "inodes"])
def test_compressing_on_a_full_disk_leaves_the_item_as_it_was(full: SmallHost, what: str) -> None:
    path = full.file("a.log", TEXT)
    before = told(path)
    full.move()
    filler = fill(full) if what == "blocks" else use_all_inodes(full)
    (one,) = full.relocate("compressed")
    assert (one["state"], one["reason"]) == ("failed", "no_space")
    (item,) = full.trash()
    assert (item["data"]["state"], item["data"]["form"]) == ("held", "file")
    assert debris(full.base) == []
    (filler or full.base / "empty-0").unlink()
    assert full.restore(item["subject"])["state"] == "done"
    assert told(path) == before


def test_a_restore_on_a_full_disk_is_refused_or_done_and_loses_nothing(full: SmallHost) -> None:
    path = full.file("a.log", TEXT)
    before = told(path)
    full.move()
    (item,) = full.trash()
    filler = fill(full)
    one = full.restore(item["subject"])
    if one["state"] != "done":
        assert (one["state"], one["reason"]) == ("failed", "no_space")
        assert [found["data"]["state"] for found in full.trash()] == ["held"]
        assert debris(full.base) == []
        filler.unlink()
        assert full.restore(item["subject"])["state"] == "done"
    assert told(path) == before


def test_a_purge_frees_space_on_a_full_disk(full: SmallHost) -> None:
    full.file("a.log", TEXT)
    full.move()
    (item,) = full.trash()
    now = int(time.time())
    full.edit_record(item["subject"], quarantined_at=now - 100, purge_after=now - 1)
    fill(full)
    identity = item["data"]["identity"]
    change = {"item": item["subject"], "ino": identity["ino"], "size": identity["size"]}
    before = os.statvfs(full.base)
    (one,) = full.step("trash.trash.purge", [{"id": "p", "object": change}], cap_files=9, cap_bytes=10**9)
    after = os.statvfs(full.base)
    assert (one["state"], one["reason"]) == ("done", "verified")
    assert one["measured"]["freed_now"] == (after.f_bfree - before.f_bfree) * after.f_frsize >= len(TEXT)
    assert full.trash() == []


def as_user(work: Callable[[], object]) -> bool:
    """Whether a user who owns the disk may do that."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setgid(1234)
            os.setuid(1234)
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitpid(pid, 0)[1] == 0


def test_a_disk_of_a_user_gets_a_trash_that_he_cannot_move(disks: TwoDisks) -> None:
    path = disks.file("a.log", TEXT)
    before, top = told(path), disks.base / "srv"
    os.chown(top, 1234, 1234)
    here = os.open(top, os.O_RDONLY)  # the user could not come here by the path: that is pytest's
    for _ in range(2):
        (one,) = disks.move()
        assert one["state"] == "done", one
        assert as_user(lambda: os.mkdir("own", dir_fd=here))
        assert not as_user(lambda: os.rename(".maintenancebot", "aside", src_dir_fd=here, dst_dir_fd=here))
        os.rmdir(top / "own")
        (item,) = disks.trash()
        assert disks.restore(item["subject"])["state"] == "done"
        assert told(path) == before
        os.utime(path)  # no longer the restored one
        before = told(path)
    os.close(here)
    os.chown(top, 0, 0)


def test_where_nothing_protects_it_there_is_no_trash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()

    def refuses(_fd: int) -> None:
        raise OSError(errno.ENOTTY, "Inappropriate ioctl for device")

    monkeypatch.setattr(pins, "pin", refuses)
    top = os.open(folder, os.O_RDONLY)
    with pytest.raises(walk.Refused) as refused:
        folders.pinned(top, b".maintenancebot", (b"trash",))
    os.close(top)
    assert refused.value.reason == "write_error"
    assert str(refused.value) == (
        "no trash here: the top folder of this file system is not root's alone, so others could move the trash away, "
        "and it knows no attribute against it"
    )
