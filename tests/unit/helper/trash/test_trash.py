"""Quarantine: what was judged is what moves, and it comes back byte- and metadata-exact."""

import os
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maintenancebot.helper import frames
from maintenancebot.helper.files import renames
from maintenancebot.helper.trash import recovery, store, trash

from ..conftest import SmallHost, append, identity_of, told
from ..driver import Gathered

ODD_NAMES = (b"plain.log", b"new\nline.log", b"\xff\xfe.log", b"-rf .log", "ümlaut.log".encode(), b"l" * 251 + b".log")


def test_files_go_to_the_trash_and_come_back_exactly(any_host: SmallHost) -> None:
    paths = [any_host.file(name) for name in ODD_NAMES]
    os.setxattr(paths[0], "user.note", b"kept")
    os.chown(paths[1], 1234, 4321)
    os.chmod(paths[1], 0o6755)
    os.utime(paths[2], ns=(10**18 + 1, 10**18 + 2))
    before = {path: told(path) for path in paths}
    folder_times = os.stat(any_host.logs).st_mtime_ns

    outcomes = any_host.move()

    assert [(one["state"], one["reason"]) for one in outcomes] == [("done", "verified")] * len(paths)
    assert os.listdir(any_host.logs) == []
    assert os.stat(any_host.logs).st_mtime_ns == folder_times
    items = any_host.trash()
    assert sorted(frames.raw(item["data"]["path"]) for item in items) == sorted(paths)
    assert {item["data"]["state"] for item in items} == {"held"}
    assert {one["measured"]["trash_item"] for one in outcomes} == {item["subject"] for item in items}
    for item in items:
        assert any_host.restore(item["subject"])["state"] == "done"
    assert {path: told(path) for path in paths} == before
    assert os.stat(any_host.logs).st_mtime_ns == folder_times
    assert any_host.trash() == []


def test_the_trash_is_readable_by_root_alone(host: SmallHost) -> None:
    host.file("open.log", mode=0o644)
    host.move()
    place = host.home / "maintenancebot" / "trash"
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    (item,) = place.iterdir()
    assert item.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("spoil", ["foreign", "open", "link"])
def test_a_trash_folder_that_is_not_ours_alone_is_refused(host: SmallHost, spoil: str) -> None:
    path = host.file("a.log")
    place = host.home / "maintenancebot" / "trash"
    place.parent.mkdir()
    if spoil == "link":
        (host.base / "elsewhere").mkdir(mode=0o700)
        place.symlink_to(host.base / "elsewhere")
    else:
        place.mkdir(mode=0o700)
        os.chown(place, 1234 if spoil == "foreign" else 0, 0)
        place.chmod(0o700 if spoil == "foreign" else 0o750)
    (one,) = host.move()
    assert (one["state"], one["reason"]) == ("failed", "write_error")
    assert os.path.exists(path)


def replace(path: bytes) -> None:
    os.unlink(path)
    append(path)


def link(path: bytes) -> None:
    os.link(path, path + b".second")


def symlink(path: bytes) -> None:
    os.unlink(path)
    os.symlink("/etc/passwd", path)


def fifo(path: bytes) -> None:
    os.unlink(path)
    os.mkfifo(path)


def parent_becomes_a_link(path: bytes) -> None:
    folder = os.path.dirname(path)
    os.rename(folder, folder + b".real")
    os.symlink(folder + b".real", folder)


def chmod(path: bytes) -> None:
    os.chmod(path, 0o600)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (append, "changed_since"),
        (replace, "changed_since"),
        (link, "changed_since"),  # a new link sets the ctime
        (symlink, "symlink"),
        (fifo, "special"),
        (parent_becomes_a_link, "symlink"),
        (chmod, "changed_since"),
    ],
)
def test_what_changed_after_the_plan_stays(host: SmallHost, change, reason: str) -> None:
    path = host.file("sub/a.log")
    changes = host.changes()
    change(path)
    before = os.lstat(path)
    (one,) = host.step("trash.trash.move", changes)
    assert (one["state"], one["reason"]) == ("skipped", reason)
    assert os.lstat(path) == before
    assert host.trash() == []


def test_a_file_that_is_gone_is_not_our_success(host: SmallHost) -> None:
    path = host.file("a.log")
    changes = host.changes()
    os.unlink(path)
    (one,) = host.step("trash.trash.move", changes)
    assert (one["state"], one["reason"], one["measured"]) == ("nothing", "already_gone", {})


def test_a_file_that_is_open_stays(host: SmallHost) -> None:
    path = host.file("a.log")
    changes = host.changes()
    with open(path, "rb"):
        (one,) = host.step("trash.trash.move", changes)
    assert (one["state"], one["reason"]) == ("skipped", "in_use")
    assert os.path.exists(path)


def test_what_is_swapped_in_at_the_last_moment_is_put_back(host: SmallHost, monkeypatch: pytest.MonkeyPatch) -> None:
    path = host.file("a.log", b"judged")
    (change,) = host.changes()
    monkeypatch.setattr(store, "HOME", os.fsencode(host.home))
    monkeypatch.setattr(recovery, "_done", [True])
    real = renames.take

    def swap_then_take(folder, name, item, new_name):
        os.rename(path, path + b".away")
        with open(path, "wb") as stream:
            stream.write(b"another")
        real(folder, name, item, new_name)

    monkeypatch.setattr(renames, "take", swap_then_take)
    args = {"allow": [str(host.logs)], "protect": [], "keep_days": 1}
    (one,) = trash.move({"changes": [change], "args": args}, Gathered())
    assert (one["state"], one["reason"]) == ("skipped", "changed_since")
    assert Path(os.fsdecode(path)).read_bytes() == b"another"
    assert Path(os.fsdecode(path + b".away")).read_bytes() == b"judged"
    assert host.trash() == []


def test_a_folder_that_is_moved_away_at_the_last_moment_keeps_its_file(
    host: SmallHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.file("app/a.log", b"judged")
    (change,) = host.changes()
    monkeypatch.setattr(store, "HOME", os.fsencode(host.home))
    monkeypatch.setattr(recovery, "_done", [True])
    real = renames.take

    def move_then_take(folder, name, item, new_name):
        os.rename(host.logs / "app", host.base / "outside")
        real(folder, name, item, new_name)

    monkeypatch.setattr(renames, "take", move_then_take)
    args = {"allow": [str(host.logs)], "protect": [], "keep_days": 1}
    (one,) = trash.move({"changes": [change], "args": args}, Gathered())
    assert (one["state"], one["reason"]) == ("skipped", "changed_since")
    assert (host.base / "outside" / "a.log").read_bytes() == b"judged"
    assert host.trash() == []


@pytest.mark.parametrize("missing", [True, False])
def test_without_the_kernels_help_nothing_is_replaced_either(
    host: SmallHost, monkeypatch: pytest.MonkeyPatch, missing: bool
) -> None:
    monkeypatch.setattr(renames, "_renameat2", lambda *_: False) if missing else None
    monkeypatch.setattr(store, "HOME", os.fsencode(host.home))
    monkeypatch.setattr(recovery, "_done", [True])
    path = host.file("a.log", b"old")
    before = told(path)
    args = {"allow": [str(host.logs)], "protect": [], "keep_days": 1}
    (moved,) = trash.move({"changes": host.changes(), "args": args}, Gathered())
    back = {"id": "b", "object": {"item": moved["measured"]["trash_item"], "to": ""}}
    host.file("a.log", b"new")
    (one,) = trash.restore({"changes": [back], "args": {}}, Gathered())
    assert (one["state"], one["reason"]) == ("skipped", "target_exists")
    os.unlink(path)
    (one,) = trash.restore({"changes": [back], "args": {}}, Gathered())
    assert one["state"] == "done"
    assert told(path) == before


def test_the_rules_are_asked_again_on_the_host(host: SmallHost) -> None:
    path = host.file("a.log")
    changes = host.changes()
    outside = host.step("trash.trash.move", changes, allow=[str(host.base / "other")])
    protected = host.step("trash.trash.move", changes, protect=["a.*"])
    assert [one["reason"] for one in outside + protected] == ["not_allowed", "protected"]
    assert os.path.exists(path)


def test_a_trash_that_others_could_move_away_is_not_made(host: SmallHost) -> None:
    path = host.file("a.log")
    host.home.chmod(0o777)
    (one,) = host.move()
    assert (one["state"], one["reason"]) == ("failed", "write_error")
    assert os.path.exists(path)
    assert list(host.home.iterdir()) == []


names = st.binary(min_size=1, max_size=255).filter(
    lambda name: (
        b"/" not in name and b"\0" not in name and name not in (b".", b"..") and not name.startswith(b".maintenancebot")
    )
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=names,
    content=st.binary(max_size=3000),
    mode=st.integers(0, 0o7777),
    mtime_ns=st.integers(0, 2**33 * 10**9),
    owner=st.tuples(st.integers(0, 70000), st.integers(0, 70000)),
)
def test_any_file_survives_the_round_trip(
    host: SmallHost,
    monkeypatch: pytest.MonkeyPatch,
    name: bytes,
    content: bytes,
    mode: int,
    mtime_ns: int,
    owner: tuple,
) -> None:
    monkeypatch.setattr(store, "HOME", os.fsencode(host.home))
    monkeypatch.setattr(recovery, "_done", [True])
    with tempfile.TemporaryDirectory(dir=host.logs) as folder:
        path = os.path.join(os.fsencode(folder), name)
        with open(path, "wb") as stream:
            stream.write(content)
        os.chown(path, *owner)
        os.chmod(path, mode)
        os.utime(path, ns=(mtime_ns, mtime_ns))
        before = told(path)
        identity = {**identity_of(path), "root": str(host.logs)}
        change = {"id": "c", "task": "t", "action": "quarantine_file", "object": identity}
        args = {"allow": [str(host.logs)], "protect": [], "keep_days": 1}

        (moved,) = trash.move({"changes": [change], "args": args}, Gathered())
        if moved["state"] == "skipped":
            assert moved["reason"] == "protected"  # a name like wtmp
            return
        assert moved["state"] == "done", moved
        assert os.listdir(folder) == []
        back = {"id": "b", "object": {"item": moved["measured"]["trash_item"], "to": ""}}
        (restored,) = trash.restore({"changes": [back], "args": {}}, Gathered())
        assert restored["state"] == "done", restored
        assert told(path) == before
