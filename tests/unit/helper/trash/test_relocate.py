"""Items that leave their file system, or become smaller on it, and come back byte- and metadata-exact."""

import os
import struct
import subprocess
from pathlib import Path

import pytest

from maintenancebot.helper import frames
from maintenancebot.helper.files import walk
from maintenancebot.helper.trash import places

from ..conftest import TwoDisks, told
from ..mounts import debris, mounted

TEXT = b"2026-01-01 something happened\n" * 50_000
CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)  # cap_net_bind_service, effective


def rich(host: TwoDisks) -> dict[bytes, tuple]:
    """Files with everything that a file can have; what they look like, but for the inode."""
    plain = host.file("plain.log", TEXT)
    odd = host.file(b"\xff\n" + b"n" * 249 + b".log", TEXT, mode=0o4750)
    os.chown(odd, 1234, 4321)
    os.chmod(odd, 0o6751)
    os.setxattr(odd, "user.note", b"\0kept\xff")
    os.setxattr(odd, "trusted.note", b"kept")
    os.setxattr(odd, "security.capability", CAPABILITY)
    subprocess.run(["setfacl", "-m", "u:77:r,g:88:rw", plain], check=True)
    holes = host.file("holes.log", b"")
    with open(holes, "r+b") as stream:
        stream.truncate(3_000_000)
        stream.seek(1_500_000)
        stream.write(TEXT[:40_000])
    empty = host.file("empty.log", b"", mode=0)
    for number, path in enumerate((plain, odd, holes, empty)):
        os.utime(path, ns=(10**18 + 1 + number, 10**18 + 3 + number))
    return {path: exact(path) for path in (plain, odd, holes, empty)}


def exact(path: bytes) -> tuple:
    found = os.lstat(path)
    content, mode, uid, gid, mtime_ns, _, attributes = told(path)
    return content, mode, uid, gid, mtime_ns, found.st_size, attributes


@pytest.mark.parametrize("into", ["compressed", "elsewhere"])
@pytest.mark.parametrize("at", ["move", "later"])
def test_everything_comes_back_exactly_from_every_form(any_disks: TwoDisks, into: str, at: str) -> None:
    host, before = any_disks, rich(any_disks)
    args = {"elsewhere": str(host.other)}
    if at == "move":
        outcomes = host.step("trash.trash.move", host.changes(), keep=into, **args)
    else:
        host.move()
        outcomes = host.relocate(into, **args)
    assert {one["state"] for one in outcomes} <= {"done", "skipped"}
    assert not any(os.path.lexists(path) for path in before)
    items = {frames.raw(item["data"]["path"]): item for item in host.trash()}
    assert set(items) == set(before)
    assert {item["data"]["state"] for item in items.values()} == {"held"}
    for path, item in items.items():
        assert host.restore(item["subject"])["state"] == "done", item
        assert exact(path) == before[path]
    assert host.trash() == []
    assert os.stat(host.logs / "holes.log").st_blocks * 512 < 200_000
    assert debris(host.base) == []


def test_what_is_freed_is_what_its_own_file_system_says(disks: TwoDisks) -> None:
    path = disks.file("a.log", TEXT)
    blocks = os.stat(path).st_blocks * 512
    here = os.statvfs(disks.logs)
    (one,) = disks.step("trash.trash.move", disks.changes(), keep="elsewhere", elsewhere=str(disks.other))
    after = os.statvfs(disks.logs)
    measured = one["measured"]
    assert measured["freed_now"] == (after.f_bfree - here.f_bfree) * here.f_frsize
    assert blocks - 20_000 <= measured["freed_now"] <= blocks
    assert (measured["freed_at_purge"], measured["stored"]) == (0, len(TEXT))
    (item,) = disks.trash()
    assert item["data"]["store"] == str(disks.other)
    assert item["data"]["dev"] == os.stat(disks.other).st_dev


def test_a_compressed_item_takes_less_and_a_purge_frees_the_rest(disks: TwoDisks) -> None:
    disks.file("a.log", TEXT)
    disks.move()
    (one,) = disks.relocate("compressed")
    measured = one["measured"]
    assert measured["freed_now"] > len(TEXT) * 0.9
    (item,) = disks.trash()
    assert (item["data"]["form"], item["data"]["stored_bytes"]) == ("gzip", measured["freed_at_purge"])
    assert measured["freed_at_purge"] < len(TEXT) / 20


def test_what_does_not_get_smaller_stays_as_it_is(disks: TwoDisks) -> None:
    disks.file("a.log", os.urandom(100_000))
    (one,) = disks.step("trash.trash.move", disks.changes(), keep="compressed")
    assert (one["state"], one["reason"]) == ("done", "no_effect")
    assert one["detail"] == "in the trash, but its space is not freed: no_effect: it does not get smaller"
    (item,) = disks.trash()
    assert item["data"]["form"] == "file"
    assert debris(disks.base) == []


def test_to_another_mount_a_faithful_copy_goes(disks: TwoDisks) -> None:
    before = rich(disks)
    disks.move()
    for number, item in enumerate(disks.trash()):
        target = f"{disks.base}/other/{number}"
        assert disks.restore(item["subject"], to=target)["state"] == "done"
        assert exact(os.fsencode(target)) == before[frames.raw(item["data"]["path"])]
    assert disks.trash() == []


def test_a_restored_copy_is_left_alone_for_a_while(disks: TwoDisks) -> None:
    disks.file("a.log", TEXT)
    disks.step("trash.trash.move", disks.changes(), keep="elsewhere", elsewhere=str(disks.other))
    (item,) = disks.trash()
    disks.restore(item["subject"])
    assert len(list((disks.other / "exempt").iterdir())) == 1


@pytest.mark.parametrize("where", ["same", "tmpfs", "open", "foreign", "link", "missing"])
def test_elsewhere_must_be_a_safe_folder_on_another_disk(disks: TwoDisks, where: str) -> None:
    path = disks.file("a.log", TEXT)
    place = disks.base / "other" / "kept"
    reason = "write_error"
    if where == "same":
        place, reason = disks.base / "srv" / "kept", "no_effect"
    elif where == "open":
        place.mkdir(mode=0o755)
    elif where == "foreign":
        place.mkdir(mode=0o700)
        os.chown(place, 1234, 0)
    elif where == "link":
        (disks.base / "aside").mkdir(mode=0o700)
        place.symlink_to(disks.base / "aside")
    elif where == "missing":
        place, reason = disks.base / "other" / "no" / "kept", "vanished"
    if where == "tmpfs":
        with mounted(disks.base / "memory", "tmpfs"):
            one = moved_to(disks, disks.base / "memory" / "kept")
            reason = "other_file_system"
    else:
        one = moved_to(disks, place)
    assert (one["state"], one["reason"]) == ("done", "no_effect")
    assert one["detail"].startswith(f"in the trash, but its space is not freed: {reason}: ")
    (item,) = disks.trash()
    assert item["data"]["state"] == "held"
    assert disks.restore(item["subject"])["state"] == "done"
    assert Path(os.fsdecode(path)).read_bytes() == TEXT


def moved_to(host: TwoDisks, place: Path) -> dict:
    return host.step("trash.trash.move", host.changes(), keep="elsewhere", elsewhere=str(place))[0]


def test_a_full_disk_elsewhere_keeps_the_item_where_it_is(disks: TwoDisks) -> None:
    disks.file("a.log", TEXT)
    free = os.statvfs(disks.base / "other")
    with open(disks.base / "other" / "filler", "wb") as stream:
        os.posix_fallocate(stream.fileno(), 0, free.f_bavail * free.f_frsize - 2_000_000)
    one = moved_to(disks, disks.other)
    assert one["reason"] == "no_effect"
    assert "no_space" in one["detail"]
    (item,) = disks.trash()
    assert item["data"]["store"] == f"{disks.base}/srv/.maintenancebot/trash"
    assert [name for name in os.listdir(disks.other) if name != "exempt"] == []
    assert debris(disks.base) == []


def test_enough_is_enough(disks: TwoDisks) -> None:
    path = disks.file("a.log", TEXT)
    (one,) = disks.step(
        "trash.trash.move", disks.changes(), enough={"path": str(disks.base / "srv"), "available": 1000}
    )
    assert (one["state"], one["reason"]) == ("nothing", "target_met")
    assert os.path.exists(path)


@pytest.mark.parametrize(
    ("row", "missing"),
    [
        ("/dev/vdb1 {disk} ext4 defaults 0 2", ""),
        ("# /dev/vdb1 {other} ext4 defaults 0 2", ""),
        ("/dev/vdb1 {other}-old ext4 defaults 0 2", ""),
        ("/dev/vdb1 none swap sw 0 0", ""),
        ("/dev/vdb1 {other} ext4 defaults 0 2", "{other}"),
        ("  UUID=1\t{other}/\text4 noauto 0 2", "{other}"),
        ("/dev/vdb1 {other}/a\\040b ext4 defaults 0 2", "{other}/a b"),
    ],
)
def test_a_disk_that_should_be_mounted_is_waited_for(
    disks: TwoDisks, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, row: str, missing: str
) -> None:
    other = tmp_path / "not-mounted"
    fstab = tmp_path / "fstab"
    fstab.write_text("\n/dev/vda1 / ext4 defaults 0 1\n" + row.format(disk=disks.other.parent, other=other) + "\n")
    monkeypatch.setattr(places, "FSTAB", str(fstab))
    places.must_be_mounted(os.fsencode(disks.other / "trash"))
    if not missing:
        places.must_be_mounted(os.fsencode(other / "a b" / "trash"))
        return
    with pytest.raises(walk.Refused) as caught:
        places.must_be_mounted(os.fsencode(other / "a b" / "trash"))
    assert (caught.value.reason, caught.value.detail) == (
        "other_file_system",
        f"{missing.format(other=other)} is not mounted",
    )
