"""Whatever a file is called and made of: it comes back from each form as it was, with every Python."""

import json
import os
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maintenancebot.helper import frames

from ..conftest import TwoDisks, identity_of, told
from ..mounts import debris


def acl(mode: int, named: list[tuple[int, int]]) -> bytes:
    """A POSIX access list as the kernel keeps it, with the mode's bits in it."""
    rows = [(0x01, mode >> 6 & 7, 0xFFFFFFFF), (0x04, mode >> 3 & 7, 0xFFFFFFFF)]
    rows += [(0x02, perms, uid) for uid, perms in sorted(dict(named).items())]
    rows += [(0x10, 7, 0xFFFFFFFF), (0x20, mode & 7, 0xFFFFFFFF)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *row) for row in sorted(rows))


names = st.one_of(
    st.binary(min_size=1, max_size=255),
    st.sampled_from([b"\n", b"\xff" * 255, b"a\nb.log", b"-rf *", "ü".encode(), b"n" * 255]),
).filter(lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b".."))
pieces = st.lists(
    st.tuples(st.sampled_from([0, 1, 4095, 4096, 70_000]), st.binary(max_size=64), st.integers(0, 700)), max_size=4
)
files = st.fixed_dictionaries(
    {
        "name": names,
        "pieces": pieces,  # (hole before it, bytes, how often)
        "tail": st.sampled_from([0, 1, 5000, 200_000]),
        "mode": st.integers(0, 0o7777),
        "owner": st.tuples(st.integers(0, 70000), st.integers(0, 70000)),
        "times": st.tuples(st.integers(0, 2**33 * 10**9), st.integers(0, 2**33 * 10**9)),
        "attributes": st.dictionaries(
            st.sampled_from(["user.a", "user.b\n", "trusted.c"]), st.binary(max_size=200), max_size=3
        ),
        "named": st.lists(st.tuples(st.integers(1, 70000), st.integers(0, 7)), max_size=3),
        "capability": st.booleans(),
    }
)


def make(path: bytes, file: dict) -> None:
    with open(path, "wb") as stream:
        for hole, piece, count in file["pieces"]:
            stream.seek(hole, os.SEEK_CUR)
            stream.write(piece * count)
        stream.truncate(stream.tell() + file["tail"])
    os.chown(path, *file["owner"])
    os.chmod(path, file["mode"])
    for name, value in file["attributes"].items():
        os.setxattr(path, name, value)
    if file["named"]:
        os.setxattr(path, "system.posix_acl_access", acl(file["mode"], file["named"]))
    if file["capability"]:
        os.setxattr(path, "security.capability", struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0))
    os.utime(path, ns=file["times"])


def exact(path: bytes) -> tuple:
    found = os.lstat(path)
    content, mode, uid, gid, mtime_ns, _, attributes = told(path)
    return content, mode, uid, gid, mtime_ns, found.st_size, attributes


@pytest.mark.parametrize("keep", ["here", "compressed", "elsewhere"])
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batch=st.lists(files, min_size=1, max_size=6, unique_by=lambda file: file["name"]))
def test_any_file_comes_back_exactly(any_disks: TwoDisks, keep: str, batch: list[dict]) -> None:
    host = any_disks
    paths = [os.path.join(os.fsencode(host.logs), file["name"]) for file in batch]
    for path, file in zip(paths, batch, strict=True):
        make(path, file)
    atimes = {path: os.lstat(path).st_atime_ns for path in paths}
    changes = [{"id": f"c{n}", "action": "quarantine_file", "object": identity_of(p)} for n, p in enumerate(paths)]
    outcomes = host.step("trash.trash.move", changes, keep=keep, elsewhere=str(host.other))
    gone = [path for path, one in zip(paths, outcomes, strict=True) if one["state"] == "done"]
    assert {one["reason"] for one in outcomes} <= {"verified", "no_effect", "protected"}, outcomes
    assert not any(os.path.lexists(path) for path in gone)
    items = host.trash()
    assert sorted(frames.raw(item["data"]["path"]) for item in items) == sorted(gone)
    back = [{"id": item["subject"], "object": {"item": item["subject"], "to": ""}} for item in items]
    assert {one["state"] for one in host.step("trash.trash.restore", back)} <= {"done"}
    assert {path: os.lstat(path).st_atime_ns for path in gone} == {path: atimes[path] for path in gone}
    again = host.base / "srv" / "again"
    for path, file in zip(paths, batch, strict=True):
        make(os.fsencode(again), file)
        assert exact(path) == exact(os.fsencode(again))
        again.unlink()
        os.unlink(path)
    assert host.trash() == []
    assert debris(host.base) == []


def test_a_record_of_the_first_format_is_read_and_kept_up(disks: TwoDisks) -> None:
    path = disks.file("a.log", b"line\n" * 9000)
    os.setxattr(path, "user.note", b"kept")
    before = exact(path)
    disks.move()
    (item,) = disks.trash()
    folder = os.path.join(item["data"]["store"], item["subject"])
    as_format(folder, 1)
    assert [one["data"]["state"] for one in disks.trash()] == ["held"]
    assert disks.relocate("elsewhere", elsewhere=str(disks.other))[0]["state"] == "done"
    assert disks.restore(item["subject"])["state"] == "done"
    assert exact(path) == before


def test_a_record_of_an_unknown_format_is_listed_and_left_alone(disks: TwoDisks) -> None:
    disks.file("a.log")
    disks.move()
    (item,) = disks.trash()
    folder = os.path.join(item["data"]["store"], item["subject"])
    as_format(folder, 3)
    before = [(name, os.lstat(os.path.join(folder, name))) for name in sorted(os.listdir(folder))]
    disks.step("trash.trash.move", [])
    assert [one["data"]["state"] for one in disks.trash()] == ["unreadable"]
    assert disks.restore(item["subject"])["reason"] == "unreadable"
    assert [(name, os.lstat(os.path.join(folder, name))) for name in sorted(os.listdir(folder))] == before


@pytest.mark.parametrize(
    "change",
    [
        {"path": 5}, {"path": "a.log"}, {"path": "/\ud800"}, {"root": None}, {"identity": "x"},
        {"identity": {"ino": 1}}, {"offload": "x"}, {"offload": {"bucket": "b"}}, {"parents": []}, {"parents": [{}]},
        {"allocated": "1"}, {"previous": 1}, {"next": {"ino": "1"}}, {"attributes": 7}, {"state": 3},
    ],
)  # fmt: skip
@pytest.mark.parametrize("mode", [0o700, 0o1700])
def test_a_record_that_makes_no_sense_is_listed_and_hinders_no_other(disks: TwoDisks, change: dict, mode: int) -> None:
    disks.file("a.log")
    disks.file("b.log")
    disks.move()
    damaged, other = disks.trash()
    folder = os.path.join(damaged["data"]["store"], damaged["subject"])
    write_record(folder, {**read_record(folder), **change})
    os.chmod(folder, mode)
    assert [one["state"] for one in disks.step("trash.trash.move", disks.changes())] == []
    assert {one["subject"]: one["data"]["state"] for one in disks.trash()} == {
        damaged["subject"]: "unreadable",
        other["subject"]: "held",
    }
    assert disks.restore(damaged["subject"])["reason"] == "unreadable"
    assert disks.restore(other["subject"])["state"] == "done"
    assert os.path.exists(os.path.join(folder, "item"))


def read_record(folder: str) -> dict:
    with open(os.path.join(folder, "manifest.json")) as stream:
        return json.load(stream)


def write_record(folder: str, record: dict) -> None:
    with open(os.path.join(folder, "manifest.json"), "w") as stream:
        json.dump(record, stream)


def as_format(folder: str, number: int) -> None:
    """The record as another version of ours wrote it."""
    record = {**read_record(folder), "format": number}
    if number == 1:
        del record["attributes"]
    write_record(folder, record)
    os.chmod(folder, 0o700)
