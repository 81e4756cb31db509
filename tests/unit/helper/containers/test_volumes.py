"""A volume is in its place, or its item is listed and gives it back: whatever is in it, whoever dies, and when."""

import json
import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from maintenancebot.helper.containers import volume_saved, volume_users, volumes
from maintenancebot.helper.host import freed, usage
from maintenancebot.helper.trash import recovery, store, trash
from tests.fakes.volumes import VolumeDaemon, keeping_volumes

from ..conftest import SmallHost
from ..driver import Gathered
from ..killing import killed_at

NAME = "pgdata"
NOBODY: Callable = lambda *_: ""  # noqa: E731


def fill(root: Path) -> None:
    """Every kind of file, and names that no text should have."""
    (root / "base").mkdir(mode=0o700)
    (root / "base/1").write_bytes(b"table" * 50_000)
    os.chown(root / "base/1", 999, 998)
    os.chmod(root / "base/1", 0o4751)
    os.setxattr(root / "base/1", "user.note", b"v\xff\n1=")
    os.setxattr(root / "base/1", "trusted.a=b%", b"\0\1")
    os.setxattr(root / "base", "trusted.folder", b"x")
    os.link(root / "base/1", root / "base/2")
    os.mkfifo(root / "fifo", 0o640)
    os.mknod(root / "null", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    with (root / "sparse").open("wb") as file:
        file.truncate(200 << 20)
        file.seek(100 << 20)
        file.write(b"middle")
    (root / ("n" * 255)).write_bytes(b"long")
    (root / "new\nline").write_bytes(b"")
    (root / "zeros").write_bytes(bytes(200_000))
    Path(os.fsdecode(os.fsencode(root) + b"/\xff\xfe")).write_bytes(b"raw")
    (root / "<!channel>").symlink_to("no\nwhere/")
    os.utime(root / "<!channel>", ns=(10**18, -(10**9) - 1), follow_symlinks=False)
    for path in (root / "base/1", root / "base", root):
        os.utime(path, ns=(1_500_000_000_123_456_789, 1_400_000_000_987_654_321))


def look(root: Path) -> list[tuple]:
    """All that must come back, in order."""
    found = []
    for path in sorted([root, *root.rglob("*")]):
        about = path.lstat()
        content = path.read_bytes() if path.is_file() and not path.is_symlink() and about.st_size < 10**7 else b""
        names = os.listxattr(path, follow_symlinks=False)
        attributes = {name: os.getxattr(path, name, follow_symlinks=False) for name in names}
        values = (about.st_mode, about.st_uid, about.st_gid, about.st_mtime_ns, about.st_rdev)
        size = 0 if path.is_dir() else (about.st_size, about.st_nlink)
        target = os.readlink(path) if path.is_symlink() else ""
        found.append((os.fsencode(path.relative_to(root)), *values, size, target, content, attributes))
    return found


class Case:
    """A daemon with one volume, and what is done with it, in this very process."""

    def __init__(self, host: SmallHost, daemon: VolumeDaemon) -> None:
        self.host, self.daemon = host, daemon
        self.fresh()

    def fresh(self) -> None:
        self.data = self.daemon.volume(NAME, Labels={"team": "db"})
        fill(self.data)
        self.before = look(self.data)

    def change(self, **other: object) -> dict:
        wanted = {
            "volume": NAME,
            "mountpoint": str(self.data),
            "created": "2026-01-01T00:00:00Z",
            "driver": "local",
            "labels": {"team": "db"},
            "size": 0,
            "data_root": str(self.daemon.root),
            "socket": self.daemon.path,
        }
        return {"id": "c1", "task": "d", "action": "remove_volume", "name": NAME, "object": {**wanted, **other}}

    def remove(self, **other: object) -> dict:
        args = {"keep_days": 30, "cap_bytes": 10**9}
        (one,) = volumes.remove({"changes": [self.change(**other)], "args": args, "run": "r", "now": 0}, Gathered())
        return one

    def listed(self) -> list[dict]:
        out = Gathered()
        trash.probe({}, out)
        return out.findings

    def restore(self, to: str = "") -> dict:
        (item,) = self.listed()
        change = {"id": "c2", "action": "restore_volume", "name": NAME, "object": {"item": item["subject"], "to": to}}
        (one,) = trash.restore({"changes": [change], "args": {}, "run": "r", "now": 0}, Gathered())
        return one

    @property
    def is_there(self) -> bool:
        return NAME in self.daemon.about


@pytest.fixture
def case(host: SmallHost, monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    monkeypatch.setattr(store, "HOME", os.fsencode(host.home))
    monkeypatch.setattr(recovery, "_done", [True])
    monkeypatch.setattr(volume_users, "of_processes", NOBODY)
    monkeypatch.setattr(volume_users, "of_files", lambda *_: {})
    monkeypatch.setattr(freed, "WAIT_SECONDS", 0)
    with keeping_volumes(host.base / "d") as daemon:
        yield Case(host, daemon)


def told(one: dict) -> tuple[str, str]:
    return one["state"], one["reason"]


def test_a_volume_of_every_kind_of_file_goes_and_comes_back_exactly(case: Case) -> None:
    gone = case.remove()
    assert told(gone) == ("done", "verified"), gone
    assert not case.is_there
    (item,) = case.listed()
    assert (item["data"]["path"], item["data"]["form"]) == (f"volume {NAME}", "volume")
    assert gone["measured"]["stored"] < 400_000, "holes are not stored"
    assert told(case.restore()) == ("done", "verified")
    assert look(case.data) == case.before
    assert case.daemon.about[NAME]["Labels"] == {"team": "db"}
    assert (case.data / "sparse").stat().st_blocks < 1000, "holes are holes again"
    assert case.listed() == []


def test_the_archive_can_be_unpacked_by_hand(case: Case, tmp_path: Path) -> None:
    case.remove()
    (item,) = case.listed()
    archive = Path(item["data"]["store"], item["subject"], "item")
    (tmp_path / "by-hand").mkdir()
    words = ["tar", "--extract", "--gzip", "--numeric-owner", "--xattrs", "--xattrs-include=*", "--file", archive]
    subprocess.run([*words, "--directory", tmp_path / "by-hand", "--preserve-permissions"], check=True)
    assert look(tmp_path / "by-hand") == case.before


@pytest.mark.parametrize("lost", ["--exclude=./zeros", "--exclude=./base/2", "--mtime=2020-01-01", "--owner=1"])
def test_an_archive_that_lacks_anything_is_not_kept(case: Case, monkeypatch: pytest.MonkeyPatch, lost: str) -> None:
    monkeypatch.setattr(volumes.volume_archive, "PACK", [*volumes.volume_archive.PACK, lost])
    assert told(case.remove()) == ("failed", "compress_mismatch")
    assert look(case.data) == case.before
    assert case.listed() == []


def test_without_room_for_the_archive_the_volume_stays(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volumes.volume_archive, "SPARE", 2**62)
    assert told(case.remove()) == ("failed", "no_space")
    assert (case.is_there, case.listed()) == (True, [])


def test_without_room_for_the_data_the_item_stays(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    case.remove()
    monkeypatch.setattr(volumes.volume_archive, "SPARE", 2**62)
    assert told(case.restore()) == ("failed", "no_space")
    assert (case.is_there, len(case.listed())) == (False, 1)


def test_sockets_are_left_out_and_that_is_said(case: Case) -> None:
    os.mknod(case.data / "s.sock", 0o600 | stat.S_IFSOCK)
    gone = case.remove()
    assert (gone["state"], gone["detail"]) == ("done", "1 sockets in it are not kept")
    assert told(case.restore()) == ("done", "verified")


@pytest.mark.parametrize(
    ("key", "rows"),
    [
        ("containers", [{"Names": ["/db"], "State": "dead", "Mounts": [{"Type": "volume", "Name": NAME}]}]),
        ("containers", [{"Names": ["/db"], "State": "created", "Mounts": [{"Type": "bind", "Source": "%s/base"}]}]),
        ("services", [{"Spec": {"TaskTemplate": {"ContainerSpec": {"Mounts": [{"Source": NAME}]}}}}]),
        (
            "services",
            [{"Spec": {}, "PreviousSpec": {"TaskTemplate": {"ContainerSpec": {"Mounts": [{"Source": NAME}]}}}}],
        ),
    ],
)
def test_a_volume_that_the_daemon_knows_a_user_of_stays(case: Case, key: str, rows: list) -> None:
    if "Source" in str(rows) and key == "containers":
        rows = [{**rows[0], "Mounts": [{"Type": "bind", "Source": f"{case.data}/base"}]}]
    case.daemon.swarm = {"ControlAvailable": True, "LocalNodeState": "active"}
    setattr(case.daemon, key, rows)
    assert told(case.remove()) == ("skipped", "in_use")
    assert case.is_there
    assert case.listed() == []


def test_on_a_worker_of_a_swarm_a_volume_stays(case: Case) -> None:
    case.daemon.swarm = {"ControlAvailable": False, "LocalNodeState": "active"}
    assert told(case.remove()) == ("skipped", "use_unknown")


@pytest.mark.parametrize(
    "other", [{"created": "2025"}, {"labels": {}}, {"mountpoint": "/x"}, {"data_root": "/x"}, {"driver": "nfs"}]
)
def test_another_volume_than_the_planned_one_stays(case: Case, other: dict) -> None:
    assert told(case.remove(**other)) == ("skipped", "changed_since")
    assert case.is_there


def test_a_volume_with_options_stays(case: Case) -> None:
    case.daemon.about[NAME]["Options"] = {"type": "nfs"}
    assert told(case.remove()) == ("skipped", "kept")


def test_what_somebody_writes_while_it_is_archived_is_not_lost(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    real = volumes.volume_archive.pack

    def pack(*args: object) -> None:
        real(*args)
        (case.data / "base" / "late").write_bytes(b"late")

    monkeypatch.setattr(volumes.volume_archive, "pack", pack)
    assert told(case.remove()) == ("skipped", "changed_since")
    assert (case.data / "base/late").read_bytes() == b"late"
    assert case.listed() == []


def test_one_that_is_used_in_the_last_moment_stays_and_its_archive_goes(case: Case) -> None:
    case.daemon.hook = lambda what: (409, {"message": "volume is in use"}) if what.startswith("DELETE") else None
    one = case.remove()
    assert (told(one), "volume is in use" in one["detail"]) == (("skipped", "in_use"), True)
    assert look(case.data) == case.before
    assert case.listed() == []


def test_when_the_daemon_breaks_off_half_way_everything_is_in_the_trash(case: Case) -> None:
    def half(what: str) -> tuple | None:
        if not what.startswith("DELETE"):
            return None
        (case.data / "base/1").unlink()
        return 500, {"message": "input/output error"}

    case.daemon.hook = half
    one = case.remove()
    assert told(one) == ("failed", "tool_failed")
    (item,) = case.listed()
    assert item["subject"] in one["detail"]
    case.daemon.hook = lambda _: None
    assert told(case.restore()) == ("skipped", "target_exists")
    assert told(case.restore("again")) == ("done", "verified")
    assert look(case.daemon.root / "volumes/again/_data") == case.before


def test_a_restart_of_the_daemon_in_the_middle_loses_nothing(case: Case) -> None:
    case.daemon.hook = lambda what: (503, None) if what.startswith("DELETE") else None
    real = volume_saved.is_as_saved
    try:
        volume_saved.is_as_saved = lambda *_: (_ for _ in ()).throw(
            volume_saved.docker_api.Trouble("not_responding", "gone")
        )
        assert told(case.remove()) == ("unknown", "not_responding")
    finally:
        volume_saved.is_as_saved = real
    case.daemon.hook = lambda _: None
    assert told(volumes.recall(case.change())) == ("skipped", "not_started")
    recovery.recover(Gathered())
    assert case.listed() == []
    assert look(case.data) == case.before


def test_a_removal_is_found_out_from_the_daemon_and_the_trash(case: Case) -> None:
    assert told(volumes.recall(case.change())) == ("skipped", "not_started")
    case.remove()
    assert told(volumes.recall(case.change())) == ("done", "verified")
    case.restore("elsewhere")
    assert told(volumes.recall(case.change())) == ("unknown", "vanished")
    case.daemon.shutdown()
    case.daemon.server_close()
    os.unlink(case.daemon.path)
    assert told(volumes.recall(case.change())) == ("unknown", "unfinished")


@pytest.mark.parametrize(("times", "expected"), [(2, ("done", "verified")), (9, ("skipped", "use_unknown"))])
def test_a_process_that_ends_while_it_is_looked_at_is_not_the_volume(
    case: Case, monkeypatch: pytest.MonkeyPatch, times: int, expected: tuple
) -> None:
    left = [times]

    def of_processes(*_: object) -> str:
        left[0] -= 1
        if left[0] >= 0:
            raise FileNotFoundError(2, "No such file or directory", "/proc/1/x")
        return ""

    monkeypatch.setattr(volume_users, "of_processes", of_processes)
    assert told(case.remove()) == expected


def test_a_volume_that_is_larger_than_a_run_may_remove_stays(case: Case) -> None:
    args = {"keep_days": 30, "cap_bytes": 1000}
    (one,) = volumes.remove({"changes": [case.change()], "args": args, "run": "r", "now": 0}, Gathered())
    assert told(one) == ("skipped", "over_cap")


@pytest.mark.parametrize("to", ["../x", "a/b", "x", "-a", "a b", "ä"])
def test_what_is_no_name_of_a_volume_is_refused(case: Case, to: str) -> None:
    case.remove()
    assert told(case.restore(to)) == ("skipped", "not_allowed")
    assert len(case.listed()) == 1


def test_damaged_bytes_are_told_and_nothing_is_made(case: Case) -> None:
    case.remove()
    (item,) = case.listed()
    archive = Path(item["data"]["store"], item["subject"], "item")
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 1
    archive.write_bytes(content)
    assert told(case.restore()) == ("failed", "write_error")
    assert not case.is_there
    assert len(case.listed()) == 1


def test_a_volume_made_by_somebody_during_the_restore_is_not_touched(case: Case) -> None:
    case.remove()

    def theirs(what: str) -> None:
        if what == "POST /volumes/create" and NAME not in case.daemon.about:
            (case.daemon.volume(NAME, Labels={"team": "db"}) / "theirs").write_bytes(b"new")

    case.daemon.hook = theirs
    assert case.restore()["state"] in ("failed", "skipped")
    assert (case.daemon.root / "volumes" / NAME / "_data/theirs").read_bytes() == b"new"
    assert len(case.listed()) == 1


def test_an_empty_volume_made_by_somebody_while_the_data_are_unpacked_stays_theirs(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    case.remove()
    real = volumes.volume_archive.unpack

    def unpack(*args: object) -> None:
        real(*args)
        case.daemon.volume(NAME, Labels={"team": "db"})

    monkeypatch.setattr(volumes.volume_archive, "unpack", unpack)
    assert told(case.restore()) == ("skipped", "target_exists")
    assert case.is_there
    assert list(case.data.iterdir()) == []
    assert len(case.listed()) == 1


@pytest.mark.parametrize("field", ["mountpoint", "data_root"])
def test_a_damaged_record_does_not_stop_the_recovery_of_others(case: Case, field: str) -> None:
    case.remove()
    (item,) = case.listed()
    folder = Path(item["data"]["store"], item["subject"])
    record = json.loads((folder / "manifest.json").read_text())
    del record["volume"][field]
    (folder / "manifest.json").write_text(json.dumps({**record, "state": "removing"}))
    folder.chmod(0o700)
    recovery.recover(Gathered())
    assert [one["data"]["state"] for one in case.listed()] == ["unreadable"]


def test_a_volume_whose_folder_cannot_be_seen_is_not_called_gone(case: Case) -> None:
    case.data.rename(case.data.with_name("away"))
    assert told(case.remove()) == ("skipped", "changed_since")
    assert case.is_there


def killed_everywhere(case: Case, prepare: Callable[[], None], work: Callable[[], dict]) -> int:
    """Kill it at each call, and now and then the recovery after it; the volume is always there, or listed and whole."""
    number, killed = 0, True
    while killed:
        number += 1
        prepare()
        killed = killed_at(number, lambda: work())
        assert case.is_there or case.listed(), "lost"
        killed_at(1 + number * 7 % 23, lambda: recovery.recover(Gathered()))
        assert case.is_there or case.listed(), "lost"
        recovery.recover(Gathered())
        assert case.is_there != bool(case.listed()), "both, or neither"
        if not case.is_there:
            assert told(case.restore()) == ("done", "verified")
        assert look(case.data) == case.before
        staging = case.host.home / "maintenancebot/trash/restoring"
        assert not staging.exists() or not list(staging.iterdir())
    return number - 1


def test_killed_at_every_call_of_a_removal(case: Case) -> None:
    assert killed_everywhere(case, lambda: None, case.remove) > 10


def test_killed_at_every_call_of_a_restore(case: Case) -> None:
    assert killed_everywhere(case, case.remove, case.restore) > 10


def test_an_open_file_a_working_directory_and_a_mount_are_users(
    host: SmallHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage.Users, "_not_seen", lambda *_: None)  # a sandbox may hide processes even from root
    folder = host.base / "volume"
    (folder / "inner").mkdir(parents=True)
    (folder / "file").write_bytes(b"x")
    inodes = {path.stat().st_ino for path in (folder, folder / "inner", folder / "file")}
    fd = os.open(folder, os.O_RDONLY)
    try:
        assert volume_users.of_processes(fd, inodes) == ""
        assert volume_users.of_mounts(fd) == ""
        with (folder / "file").open() as held, subprocess.Popen(["sleep", "100"], stdin=held) as other:
            assert volume_users.of_processes(fd, inodes) == "a process has a file of it open"
            other.kill()
        with subprocess.Popen(["sleep", "100"], cwd=folder / "inner") as other:
            assert volume_users.of_processes(fd, inodes) == f"process {other.pid} works in it"
            other.kill()
        elsewhere = host.base / "elsewhere"
        elsewhere.mkdir()
        subprocess.run(["mount", "--bind", folder / "inner", elsewhere], check=True)
        try:
            assert f"mounted at {elsewhere}" in volume_users.of_mounts(fd)
        finally:
            subprocess.run(["umount", elsewhere], check=True)
    finally:
        os.close(fd)
