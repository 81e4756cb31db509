"""Quarantine and restore: what was judged is what moves, and it comes back byte- and metadata-exact."""

import json
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maintenancebot.helper import compress, frames, recovery, renames, store, trash

from .conftest import SmallHost
from .driver import Gathered

ODD_NAMES = (b"plain.log", b"new\nline.log", b"\xff\xfe.log", b"-rf .log", "ümlaut.log".encode(), b"l" * 251 + b".log")


def told(path: bytes) -> tuple:
    """All of a file that must come back."""
    facts = os.lstat(path)
    with open(path, "rb") as stream:
        content = stream.read()
    attributes = {name: os.getxattr(path, name) for name in os.listxattr(path)}
    return content, facts.st_mode, facts.st_uid, facts.st_gid, facts.st_mtime_ns, facts.st_ino, attributes


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
    assert stat.S_IMODE(item.stat().st_mode) == 0o700


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


def append(path: bytes) -> None:
    with open(path, "ab") as stream:
        stream.write(b"more")


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
    (one,) = host.step("trash.move", changes)
    assert (one["state"], one["reason"]) == ("skipped", reason)
    assert os.lstat(path) == before
    assert host.trash() == []


def test_a_file_that_is_gone_is_not_our_success(host: SmallHost) -> None:
    path = host.file("a.log")
    changes = host.changes()
    os.unlink(path)
    (one,) = host.step("trash.move", changes)
    assert (one["state"], one["reason"], one["measured"]) == ("nothing", "already_gone", {})


def test_a_file_that_is_open_stays(host: SmallHost) -> None:
    path = host.file("a.log")
    changes = host.changes()
    with open(path, "rb"):
        (one,) = host.step("trash.move", changes)
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
    outside = host.step("trash.move", changes, allow=[str(host.base / "other")])
    protected = host.step("trash.move", changes, protect=["a.*"])
    assert [one["reason"] for one in outside + protected] == ["not_allowed", "protected"]
    assert os.path.exists(path)


def test_restore_never_overwrites(host: SmallHost) -> None:
    path = host.file("a.log", b"old")
    host.move()
    host.file("a.log", b"new")
    (item,) = host.trash()
    one = host.restore(item["subject"])
    assert (one["state"], one["reason"]) == ("skipped", "target_exists")
    assert Path(os.fsdecode(path)).read_bytes() == b"new"
    assert [item["data"]["state"] for item in host.trash()] == ["held"]

    other = str(host.base / "other.log")
    assert host.restore(item["subject"], to=other)["state"] == "done"
    assert Path(other).read_bytes() == b"old"


def test_restore_makes_missing_folders_as_they_were(host: SmallHost) -> None:
    host.file("app/deep/a.log")
    for folder, mode in ((host.logs / "app", 0o2750), (host.logs / "app" / "deep", 0o711)):
        os.chown(folder, 1234, 4321)
        folder.chmod(mode)
    host.move()
    shutil.rmtree(host.logs / "app")
    (item,) = host.trash()
    assert host.restore(item["subject"])["state"] == "done"
    for folder, mode in ((host.logs / "app", 0o2750), (host.logs / "app" / "deep", 0o711)):
        facts = folder.stat()
        assert (facts.st_uid, facts.st_gid, stat.S_IMODE(facts.st_mode)) == (1234, 4321, mode)


def test_restore_follows_no_link(host: SmallHost) -> None:
    host.file("app/a.log")
    host.move()
    (host.logs / "app").rmdir()
    (host.logs / "app").symlink_to("/tmp")
    (item,) = host.trash()
    one = host.restore(item["subject"])
    assert (one["state"], one["reason"]) == ("skipped", "symlink")
    assert not os.path.lexists("/tmp/a.log")


def test_a_restored_file_is_left_alone_for_a_week_or_until_it_changes(tmp_path: Path, host: SmallHost) -> None:
    base = tmp_path / "two"
    base.mkdir()
    soon = SmallHost(base, days=2)
    path = soon.file("a.log")
    soon.step("trash.move", soon.changes(retention_days=1))
    (item,) = soon.trash()
    soon.restore(item["subject"])
    assert soon.probe(retention_days=1)["facts"]["kept"] == {"restored": 1}
    append(path)
    assert soon.probe(retention_days=1)["facts"]["due"] == 1
    later = soon.now + 8 * 86400
    assert soon.probe(retention_days=1, now=later)["facts"]["due"] == 1


def set_times(host: SmallHost, item: str, **times: int) -> None:
    path = host.home / "maintenancebot" / "trash" / item / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **times}))


def purge(host: SmallHost, item: dict, **more) -> dict:
    identity = item["data"]["identity"]
    change = {"item": item["subject"], "ino": identity["ino"], "size": identity["size"]}
    args = {"cap_files": 10, "cap_bytes": 10**9, **more}
    return host.step("trash.purge", [{"id": "p", "action": "purge_item", "object": change}], **args)[0]


def test_purge_deletes_only_what_is_past_its_time(host: SmallHost) -> None:
    host.file("a.log")
    host.move()
    (item,) = host.trash()
    assert purge(host, item)["reason"] == "too_young"
    now = int(time.time())
    set_times(host, item["subject"], quarantined_at=now + 90, purge_after=now + 91)
    assert purge(host, item)["reason"] == "time_implausible"
    set_times(host, item["subject"], quarantined_at=now - 100, purge_after=now - 1)
    assert purge(host, item, cap_files=0)["reason"] == "over_cap"
    assert len(host.trash()) == 1
    done = purge(host, item)
    assert (done["state"], done["reason"]) == ("done", "verified")
    assert host.trash() == []


def test_purge_refuses_when_the_clocks_differ(host: SmallHost) -> None:
    host.file("a.log")
    host.move()
    (item,) = host.trash()
    now = int(time.time())
    set_times(host, item["subject"], quarantined_at=now - 100, purge_after=now - 1)
    step = {"id": "s", "changes": [], "args": {"cap_files": 9, "cap_bytes": 10**9}, "now": time.time() - 4000}
    identity = {"item": item["subject"], "ino": item["data"]["identity"]["ino"], "size": 500}
    step["changes"] = [{"id": "p", "action": "purge_item", "object": identity}]
    assert host.call("trash.purge", step)["outcomes"][0]["reason"] == "clock_skew"


def test_what_was_interrupted_is_settled_by_the_next_step(host: SmallHost) -> None:
    moved, stayed = host.file("moved.log"), host.file("stayed.log")
    host.step("trash.move", [change for change in host.changes() if "moved" in change["object"]["path"]])
    (item,) = host.trash()
    set_times(host, item["subject"], state="intent")
    place = host.home / "maintenancebot" / "trash"
    copy = place / (item["subject"][:-1] + ("0" if item["subject"][-1] != "0" else "1"))
    shutil.copytree(place / item["subject"], copy)
    (copy / "item").unlink()

    assert [one["data"]["state"] for one in host.trash()] == ["held"]
    host.step("trash.move", [])
    assert sorted(os.listdir(place)) == [item["subject"]]
    assert json.loads((place / item["subject"] / "manifest.json").read_text())["state"] == "held"
    assert os.path.exists(stayed)
    assert not os.path.exists(moved)


def recall(host: SmallHost, change: dict) -> tuple:
    (found,) = host.call("recall.probe", {"changes": [change]})["findings"]
    return found["data"]["state"], found["data"]["reason"]


def test_recall_tells_what_became_of_a_change(host: SmallHost) -> None:
    path = host.file("a.log")
    (change,) = host.changes()
    assert recall(host, change) == ("skipped", "not_started")
    host.step("trash.move", [change])
    assert recall(host, change) == ("done", "verified")
    (item,) = host.trash()
    back = {"id": "b", "action": "restore_file", "object": {"item": item["subject"], "to": ""}}
    assert recall(host, back) == ("skipped", "not_started")
    host.restore(item["subject"])
    assert recall(host, back) == ("done", "verified")
    os.unlink(path)
    assert recall(host, change) == ("unknown", "vanished")
    assert recall(host, {"id": "x", "action": "renew_nothing", "object": {}}) == ("unknown", "unfinished")


def run_killed(work, point: float) -> None:
    """Run `work` in a child that is killed at that share (0 to 1) of all calls it makes, as kill -9 would."""
    total = _in_child(lambda: work(0), None) if point else 0
    _in_child(lambda: work(1), int(total * point))


def _in_child(work, limit: int | None) -> int:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        count = 0

        def tick(*_event) -> None:
            nonlocal count
            count += 1
            if limit is not None and count > limit:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            sys.setprofile(tick)
            work()
        finally:
            sys.setprofile(None)
            os.write(writer, str(count).encode())
            os._exit(0)
    os.close(writer)
    os.waitpid(pid, 0)
    with os.fdopen(reader, "rb") as stream:
        return int(stream.read() or 0)


def work_of(kind: str, host: SmallHost, rehearsal: list[bytes], real: list[bytes]):
    """A step as a function of whether it is the rehearsal, which counts the calls, or the real one."""
    args = {"allow": [str(host.logs)], "protect": [], "keep_days": 30}
    op = compress.apply if kind == "compress" else trash.move

    def changes(paths: list[bytes]) -> list[dict]:
        action = "compress_file" if kind == "compress" else "quarantine_file"
        return [
            {"id": frames.text(path), "action": action, "object": {**identity_of(path), "root": str(host.logs)}}
            for path in paths
        ]

    def restores(paths: list[bytes]) -> list[dict]:
        wanted = {frames.text(path) for path in paths}
        held = [found for place in store.existing() for found in items_of(place) if found[1] in wanted]
        return [{"id": item, "object": {"item": item, "to": ""}} for item, _ in held]

    if kind == "restore":
        trash.move({"changes": changes(rehearsal + real), "args": args}, Gathered())
        steps = [{"changes": restores(paths), "args": {}} for paths in (rehearsal, real)]
        return lambda number: trash.restore(steps[number], Gathered())
    steps = [{"changes": changes(paths), "args": args} for paths in (rehearsal, real)]
    return lambda number: op(steps[number], Gathered())


def items_of(place: store.Store) -> list[tuple[str, str]]:
    found = []
    for name in filter(place.holds_bytes, place.ids()):
        item = place.item(name)
        found.append((name, item.record["path"]))
        item.close()
    return found


def test_kill_9_at_any_point_leaves_each_file_in_place_or_restorable(
    host: SmallHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "HOME", os.fsencode(host.home))
    chance = random.Random(7)
    before = {}
    for round_number in range(60):
        pairs = [[host.file(f"{round_number}-{part}-{n}.log", os.urandom(200)) for n in range(2)] for part in "ab"]
        before.update({path: told(path) for pair in pairs for path in pair})
        monkeypatch.setattr(recovery, "_done", [True])
        run_killed(work_of(("move", "compress", "restore")[round_number % 3], host, *pairs), chance.random())
        if round_number % 4 == 0:  # the next run is killed while it recovers
            monkeypatch.setattr(recovery, "_done", [])
            _in_child(recovery.recover, chance.randrange(300))
    recovery.recover()

    held = {frames.raw(item["data"]["path"]): item for item in host.trash()}
    assert {item["data"]["state"] for item in held.values()} == {"held"}
    in_place = {path for path in before if os.path.exists(path)}
    assert in_place | set(held) == set(before)
    assert not in_place & set(held)
    assert not [name for name in os.listdir(host.logs) if name.startswith(".maintenancebot")]
    monkeypatch.setattr(recovery, "_done", [True])
    for item in held.values():
        back = {"id": "b", "object": {"item": item["subject"], "to": ""}}
        (one,) = trash.restore({"changes": [back], "args": {}}, Gathered())
        assert one["state"] == "done", one
    assert {path: told(path) for path in before} == before


def identity_of(path: bytes) -> dict:
    facts = os.lstat(path)
    fields = ("dev", "ino", "size", "mtime_ns", "ctime_ns", "mode", "uid", "gid")
    return {"path": frames.text(path), **{field: getattr(facts, f"st_{field}") for field in fields}}


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


SWAPPER = """
import os, sys, itertools
base, end = sys.argv[1], float(sys.argv[2])
import time
while time.time() < end:
    for how in ("link", "outside", "real"):
        try:
            if how == "link":
                os.rename(base + "/app", base + "/app.real"); os.symlink(base + "/../../victim", base + "/app")
            elif how == "outside":
                os.unlink(base + "/app"); os.rename(base + "/app.real", base + "/../../aside"); os.mkdir(base + "/app")
            else:
                os.rmdir(base + "/app"); os.rename(base + "/../../aside", base + "/app")
        except OSError:
            pass
"""


def test_nothing_outside_is_touched_while_folders_and_links_are_swapped(host: SmallHost) -> None:
    victim = host.base / "victim"
    victim.mkdir()
    for number in range(20):
        (victim / f"{number}.log").write_bytes(b"precious")
    swapper = subprocess.Popen([sys.executable, "-c", SWAPPER, str(host.logs), str(time.time() + 3)])
    moved = 0
    try:
        for number in range(20):
            try:
                host.file(f"app/{number}.log")
            except OSError:
                continue
        while swapper.poll() is None:
            outcomes = host.move()
            moved += sum(one["state"] == "done" for one in outcomes)
            assert {one["state"] for one in outcomes} <= {"done", "skipped", "nothing"}
    finally:
        swapper.kill()
        swapper.wait()
    assert sorted(path.name for path in victim.iterdir()) == sorted(f"{number}.log" for number in range(20))
    assert {path.read_bytes() for path in victim.iterdir()} == {b"precious"}
    held = [item["data"]["path"] for item in host.trash()]
    assert all(path.startswith(f"{host.logs}/") for path in held)
    assert len(held) == moved
