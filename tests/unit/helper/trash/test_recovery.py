"""Killed anywhere, each file is in its place or whole in the trash, and the next step settles the rest."""

import json
import os
import random
import shutil
import signal
import sys

import pytest

from maintenancebot.helper import frames
from maintenancebot.helper.cleanup import compress
from maintenancebot.helper.trash import recovery, store, trash

from ..conftest import SmallHost, identity_of, told
from ..driver import Gathered


def test_what_was_interrupted_is_settled_by_the_next_step(host: SmallHost) -> None:
    moved, stayed = host.file("moved.log"), host.file("stayed.log")
    host.step("trash.trash.move", [change for change in host.changes() if "moved" in change["object"]["path"]])
    (item,) = host.trash()
    host.edit_record(item["subject"], state="intent")
    place = host.home / "maintenancebot" / "trash"
    copy = place / (item["subject"][:-1] + ("0" if item["subject"][-1] != "0" else "1"))
    shutil.copytree(place / item["subject"], copy)
    (copy / "item").unlink()

    assert [one["data"]["state"] for one in host.trash()] == ["held"]
    host.step("trash.trash.move", [])
    assert sorted(os.listdir(place)) == [item["subject"]]
    assert json.loads((place / item["subject"] / "manifest.json").read_text())["state"] == "held"
    assert os.path.exists(stayed)
    assert not os.path.exists(moved)


def recall(host: SmallHost, change: dict) -> tuple:
    (found,) = host.call("recall.probe", {"changes": [change]})["findings"]
    return found["data"]["state"], found["data"]["reason"]


def test_a_restore_that_was_killed_is_finished(host: SmallHost) -> None:
    """After its rename, and, where it goes by link and unlink, between the two."""
    whole, linked = host.file("whole.log", b"1"), host.file("linked.log", b"2")
    host.move()
    place = host.home / "maintenancebot" / "trash"
    for item in host.trash():
        path, bytes_there = item["data"]["path"], place / item["subject"] / "item"
        host.edit_record(item["subject"], state="restoring", target=path)
        (os.link if path.endswith("linked.log") else os.rename)(bytes_there, path)
    host.step("trash.trash.move", [])
    assert host.trash() == []
    assert [os.stat(path).st_nlink for path in (whole, linked)] == [1, 1]
    assert len(list((place / "exempt").iterdir())) == 2


def test_recall_tells_what_became_of_a_change(host: SmallHost) -> None:
    path = host.file("a.log")
    (change,) = host.changes()
    assert recall(host, change) == ("skipped", "not_started")
    host.step("trash.trash.move", [change])
    assert recall(host, change) == ("done", "verified")
    (item,) = host.trash()
    back = {
        "id": "b",
        "action": "restore_file",
        "name": os.fsdecode(path),
        "object": {"item": item["subject"], "to": ""},
    }
    assert recall(host, back) == ("skipped", "not_started")
    host.restore(item["subject"])
    assert recall(host, back) == ("done", "verified")
    os.unlink(path)
    assert recall(host, back) == ("unknown", "vanished")
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
            _in_child(lambda: recovery.recover(Gathered()), chance.randrange(300))
    recovery.recover(Gathered())

    held = {frames.raw(item["data"]["path"]): item for item in host.trash()}
    assert {item["data"]["state"] for item in held.values()} == {"held"}
    in_place = {path for path in before if os.path.exists(path)}
    assert in_place | set(held) == set(before)
    assert not in_place & set(held)
    assert not [path for path in in_place if os.path.exists(path + b".gz")]
    assert not [name for name in os.listdir(host.logs) if name.startswith(".maintenancebot")]
    monkeypatch.setattr(recovery, "_done", [True])
    for item in held.values():
        back = {"id": "b", "object": {"item": item["subject"], "to": ""}}
        (one,) = trash.restore({"changes": [back], "args": {}}, Gathered())
        assert one["state"] == "done", one
    assert {path: told(path) for path in before} == before
