"""How full a file system is and what uses it, asked on real ones in every python3 at hand."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from maintenancebot.helper import frames
from maintenancebot.helper.host import disk as disk_helper
from maintenancebot.helper.host import occupants
from tests.lab.disks import Disk, make_disk

from ..conftest import SmallHost

MIB = 2**20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if os.geteuid() != 0 or not shutil.which("mkfs.ext4"):
        pytest.skip("mounts file systems as root")
    made = make_disk(tmp_path / "disk", size_mib=64, reserved_percent=5)
    yield made
    subprocess.run(["umount", "-R", "-l", made.mount_point], check=True)


def look(host: SmallHost, mount: object, percent: int = 0, elsewhere: object = "") -> dict:
    return host.call("host.disk.probe", {"mount": str(mount), "percent": percent, "elsewhere": str(elsewhere)})


def rows(found: dict, kind: str) -> dict[str, int]:
    return {row["subject"]: row["data"]["bytes"] for row in found["findings"] if row["kind"] == kind}


def refusal(host: SmallHost, mount: object) -> tuple[str, str]:
    found = look(host, mount)
    assert found["findings"] == []
    return found["state"], found["reason"]


def df(mount: Path, what: str) -> int:
    """One of df's own figures."""
    done = subprocess.run(["df", "-B1", f"--output={what}", mount], capture_output=True, text=True, check=True)
    return int(done.stdout.splitlines()[1].strip(" %"))


def test_it_is_as_full_as_df_says_in_bytes_and_inodes(any_host: SmallHost, disk: Disk) -> None:
    disk.fill(9 * MIB)
    for number in range(200):
        (disk.mount_point / str(number)).touch()
    facts = look(any_host, disk.mount_point)["facts"]
    told = {"total": "size", "used": "used", "available": "avail", "percent": "pcent"}
    told |= {"inodes": "itotal", "inodes_used": "iused", "inodes_available": "iavail", "inode_percent": "ipcent"}
    assert {name: facts[name] for name in told} == {name: df(disk.mount_point, what) for name, what in told.items()}
    assert (facts["fs_type"], facts["dev"]) == ("ext4", disk.mount_point.stat().st_dev)


def test_a_full_disk_says_100_and_is_looked_at_as_well(host: SmallHost, disk: Disk) -> None:
    with open(disk.mount_point / "all", "wb", buffering=0) as stream, pytest.raises(OSError, match="No space left"):
        while True:
            stream.write(bytes(MIB))
    found = look(host, disk.mount_point)
    assert (found["facts"]["percent"], found["facts"]["available"]) == (100, 0)
    assert rows(found, "file") == {f"{disk.mount_point}/all": os.stat(disk.mount_point / "all").st_blocks * 512}


def test_below_the_percent_nobody_looks_for_users(host: SmallHost, disk: Disk) -> None:
    (disk.mount_point / "file").write_bytes(bytes(5 * MIB))
    found = look(host, disk.mount_point, percent=50)
    assert (found["findings"], "partial" in found["facts"]) == ([], False)


# What uses it


def test_the_heaviest_folders_and_files_are_named_without_those_that_only_hold_them(
    host: SmallHost, disk: Disk
) -> None:
    top = disk.mount_point
    for name, size in (("srv/db/data/1", 8), ("srv/db/data/2", 7), ("srv/web/a", 6), ("logs/x", 3), ("small", 1)):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(os.urandom(size * MIB))
    found = look(host, top)
    folders = rows(found, "directory")
    assert list(folders)[:4] == [f"{top}/srv", f"{top}/srv/db/data", f"{top}/srv/web", f"{top}/logs"]
    assert 15 * MIB <= folders[f"{top}/srv/db/data"] < 16 * MIB
    assert next(iter(rows(found, "file").items())) == (f"{top}/srv/db/data/1", 8 * MIB)
    assert found["facts"]["partial"] is False


def test_other_mounts_and_second_names_and_holes_count_nothing(host: SmallHost, disk: Disk) -> None:
    top = disk.mount_point
    for name in ("a", "b", "bound", "data"):
        (top / name).mkdir()
    (top / "data" / "file").write_bytes(os.urandom(6 * MIB))
    (top / "data" / "once").write_bytes(os.urandom(4 * MIB))
    os.link(top / "data" / "file", top / "b" / "second name")
    with open(top / "data" / "hole", "wb") as stream:
        stream.truncate(1 << 40)
    subprocess.run(["mount", "-t", "tmpfs", "none", top / "a"], check=True)
    (top / "a" / "other").write_bytes(bytes(9 * MIB))
    subprocess.run(["mount", "--bind", top / "data", top / "bound"], check=True)
    found = look(host, top)
    assert sum(rows(found, "directory").values()) < 11 * MIB
    assert len(rows(found, "file")) == 2


def test_deleted_files_that_are_open_are_named_with_their_process(host: SmallHost, disk: Disk) -> None:
    path = disk.mount_point / "gone"
    hold = (
        "import sys, time; f = open(sys.argv[1], 'wb'); f.write(bytes(5 << 20)); f.flush();"
        "print(1, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", hold, path], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        path.unlink()
        found = look(host, disk.mount_point)
        process.kill()
    (row,) = [row for row in found["findings"] if row["kind"] == "deleted_open"]
    assert (row["subject"], row["data"]["pid"], row["data"]["bytes"]) == (str(path), process.pid, 5 * MIB)
    assert row["data"]["process"].startswith("python")


def test_known_stores_are_named(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    store = disk.mount_point / "docker"
    (store / "layer").mkdir(parents=True)
    (store / "layer" / "x").write_bytes(os.urandom(3 * MIB))
    own = disk.mount_point / ".maintenancebot" / "trash"
    (own / "1").mkdir(parents=True)
    (own / "1" / "item").write_bytes(os.urandom(3 * MIB))
    monkeypatch.setattr(occupants, "PLACES", (("docker", os.fsencode(store)), ("journal", b"/nowhere")))
    found = Gathered()
    fd = os.open(disk.mount_point, os.O_RDONLY)
    occupants.look(fd, os.fsencode(disk.mount_point), found)
    os.close(fd)
    docker, trash = [(path, data) for kind, path, data in found.rows if kind == "place"][::-1]
    assert (docker[0], docker[1]["name"]) == (str(store), "docker")
    assert (trash[0], trash[1]["name"]) == (str(own), "trash")
    assert all(3 * MIB <= data["bytes"] < 3.1 * MIB for _, data in (docker, trash))


class Gathered:
    """Takes what a probe reports."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, dict]] = []

    def finding(self, kind: str, subject: str, **data: object) -> None:
        self.rows.append((kind, subject, data))

    def alive(self, doing: str) -> None:
        pass


def test_a_look_ends_in_time_and_says_that_it_did_not_see_all(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(300):
        (disk.mount_point / f"d{number}").mkdir()
    monkeypatch.setattr(occupants, "SECONDS", 0)
    fd = os.open(disk.mount_point, os.O_RDONLY)
    begun = time.monotonic()
    assert occupants.look(fd, os.fsencode(disk.mount_point), Gathered()) == {"partial": True}
    assert time.monotonic() - begun < 5
    os.close(fd)


def test_names_that_are_no_text_and_deep_folders_are_looked_at(host: SmallHost, disk: Disk) -> None:
    odd = os.path.join(os.fsencode(disk.mount_point), b"odd \xff\n")
    os.mkdir(odd)
    with open(os.path.join(odd, b"file"), "wb") as stream:
        stream.write(bytes(4 * MIB))
    fd = os.open(disk.mount_point, os.O_RDONLY)
    for _ in range(450):
        os.mkdir("d", dir_fd=fd)
        inner = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
    found = look(host, disk.mount_point)
    assert rows(found, "directory").get(frames.text(odd), 0) >= 4 * MIB
    assert found["facts"]["partial"] is True


# What is no disk


def test_only_a_mount_point_of_the_host_is_measured(host: SmallHost, disk: Disk) -> None:
    (disk.mount_point / "folder").mkdir()
    for path in (disk.mount_point / "folder", "/nowhere", f"{disk.mount_point}/folder/..", ""):
        assert refusal(host, path) == ("skipped", "missing")


def test_a_mount_that_lies_under_another_is_not_the_one_that_is_seen(host: SmallHost, disk: Disk) -> None:
    (disk.mount_point / "in").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", disk.mount_point / "in"], check=True)
    (disk.mount_point / "in" / "under").mkdir()
    subprocess.run(["mount", "-t", "ext4", "-o", "loop", disk.image, disk.mount_point / "in" / "under"], check=False)
    subprocess.run(["mount", "-t", "tmpfs", "none", disk.mount_point / "in"], check=True)
    assert refusal(host, disk.mount_point / "in") == ("skipped", "special")


def test_memory_pseudo_and_read_only_file_systems_are_refused(host: SmallHost, disk: Disk) -> None:
    memory = disk.mount_point / "memory"
    memory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", memory], check=True)
    assert refusal(host, memory) == ("skipped", "special")
    assert refusal(host, "/proc") == ("skipped", "special")
    subprocess.run(["mount", "-o", "remount,ro", disk.mount_point], check=True)
    assert refusal(host, disk.mount_point) == ("skipped", "read_only")
    subprocess.run(["mount", "-o", "remount,rw", disk.mount_point], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", disk.mount_point], check=True)
    assert refusal(host, disk.mount_point) == ("skipped", "read_only")


@pytest.mark.parametrize("kind", ["squashfs", "iso9660", "erofs"])
def test_an_image_that_is_never_written_is_always_full(kind: str, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    table = [dict(row, type=kind) for row in disk_helper.facts.mount_table()]
    monkeypatch.setattr(disk_helper.facts, "mount_table", lambda: table)
    found = disk_helper.probe({"mount": str(disk.mount_point), "percent": 0}, Gathered())
    assert (found.state, found.reason) == ("skipped", "read_only")


def test_the_other_file_system_is_measured_where_its_folder_will_be(host: SmallHost, disk: Disk) -> None:
    found = look(host, disk.mount_point, elsewhere=host.home / "not" / "there")["facts"]
    assert found["elsewhere"]["dev"] == host.home.stat().st_dev
    assert found["elsewhere"]["available"] > 0
    assert look(host, disk.mount_point)["facts"]["elsewhere"] is None
    (disk.mount_point / "link").symlink_to("/")
    assert look(host, disk.mount_point, elsewhere=disk.mount_point / "link" / "x")["facts"]["elsewhere"] is None


def test_looking_writes_nothing(host: SmallHost, disk: Disk) -> None:
    (disk.mount_point / "folder").mkdir()
    (disk.mount_point / "folder" / "file").write_bytes(bytes(MIB))

    def times() -> list[tuple[str, int, int, int]]:
        paths = [disk.mount_point, *disk.mount_point.rglob("*")]
        return [(str(p), p.stat().st_atime_ns, p.stat().st_mtime_ns, p.stat().st_ctime_ns) for p in paths]

    before = times()
    look(host, disk.mount_point)
    assert times() == before
