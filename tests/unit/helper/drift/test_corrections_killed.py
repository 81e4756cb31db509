"""Killed at every single call, a corrected file is the old one or the new one, whole, and can still be taken back."""

import contextlib
import hashlib
import json
import os
import random
import time
from collections.abc import Callable

import pytest

from maintenancebot.helper import frames
from maintenancebot.helper.drift import correct_files, undo
from maintenancebot.helper.files import walk
from maintenancebot.helper.trash import recovery, store, trash

from ..conftest import TwoDisks, identity_of, told
from ..driver import Gathered
from ..killing import killed_at
from ..mounts import debris

OLD, NEW = b"old\n" * 500, b"new\n" * 700
CHANGE = {"id": "c" * 16, "task": "drift", "action": "correct_file"}
ARGS = {"keep_days": 30, "run": "r"}


class Case:
    """One declared file of a host, in this very process."""

    def __init__(self, host: TwoDisks, way: str) -> None:
        self.host, self.way = host, way
        self.path = os.path.join(os.fsencode(host.logs), b"app-\xff.conf")
        self.notes = host.base / "undo.json"
        self.before: tuple | None = None

    def fresh(self) -> None:
        """As it was before the correction, and nothing in the trash."""
        for leftover in (self.path, self.notes):
            if os.path.lexists(leftover):
                os.unlink(leftover)
        for item in self.items():
            one = store.find(item)
            one.drop()
            one.close()
            one.store.close()
        if self.way != "create":
            self.host.file(os.path.basename(self.path), OLD)
            os.chown(self.path, 1234, 4321)
            os.chmod(self.path, 0o640)
            os.setxattr(self.path, "user.note", b"kept")
            os.utime(self.path, ns=(10**18 + 1, 10**18 + 2))
        self.before = self.look()

    def look(self) -> tuple | None:
        return told(self.path) if os.path.lexists(self.path) else None

    def items(self) -> list[str]:
        out = Gathered()
        trash.probe({}, out)
        return [one["subject"] for one in out.findings]

    def change(self) -> dict:
        wanted = {"state": "present", "sha256": hashlib.sha256(NEW).hexdigest(), "mode": "0600"}
        if self.way == "remove":
            wanted = {"state": "absent"}
        if self.way == "dress":
            wanted = {"state": "present", "mode": "0600", "owner": "0"}
        there = {} if self.way == "create" else {**identity_of(self.path), "sha256": "other"}
        name = frames.text(self.path)
        return {**CHANGE, "object": {"kind": "file", "name": name, "wanted": wanted, "identity": there}}

    def correct(self) -> None:
        change = self.change()
        content = NEW if self.way in ("replace", "create") else None
        way = correct_files.prepared(change, ARGS, change["object"]["name"], change["object"]["wanted"], content)
        part = self.notes.with_suffix(".part")
        part.write_text(json.dumps(way.undo()))
        part.rename(self.notes)
        way.make()
        way.close()

    def take_back(self) -> None:
        if self.notes.exists():
            undo.take_back(json.loads(self.notes.read_text()), {**CHANGE, "object": {}}, ARGS)

    def is_new(self) -> bool:
        if self.way == "remove":
            return self.look() is None
        now = self.look()
        if now is None:
            return False
        if self.way == "dress":
            return now[0] == OLD and now[1] & 0o7777 in (0o600, 0o640) and now[2] in (0, 1234)
        kept = {"user.note": b"kept"} if self.way == "replace" else {}
        return (now[0], now[1] & 0o7777, now[6]) == (NEW, 0o600, kept)


@pytest.fixture(params=["replace", "create", "remove", "dress"])
def case(disks: TwoDisks, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Case:
    monkeypatch.setattr(store, "HOME", os.fsencode(disks.home))
    monkeypatch.setattr(recovery, "_done", [True])
    return Case(disks, request.param)


def test_made_and_taken_back(case: Case) -> None:
    case.fresh()
    case.correct()
    assert case.is_new()
    assert case.look() != case.before
    assert len(case.items()) == (case.way in ("replace", "remove"))
    assert debris(case.host.base) == []
    case.take_back()
    assert case.look() == case.before
    assert len(case.items()) == (case.way == "create")
    case.take_back()
    assert (case.look(), debris(case.host.base)) == (case.before, [])


def test_killed_at_every_call(case: Case) -> None:
    number, killed = 0, True
    while killed:
        number += 1
        case.fresh()
        killed = killed_at(number, case.correct)
        assert case.look() == case.before or case.is_new(), number
        killed_at(1 + number * 7 % 23, lambda: recovery.recover(Gathered()))
        recovery.recover(Gathered())
        assert case.look() == case.before or case.is_new(), number
        assert debris(case.host.base) == [], number
        assert case.look() == case.before or case.way in ("create", "dress") or len(case.items()) == 1
        case.take_back()
        assert case.look() == case.before, number
    assert number > 3


def test_a_taking_back_that_is_killed_is_ended_by_the_next(case: Case) -> None:
    number, killed = 0, True
    while killed:
        number += 1
        case.fresh()
        case.correct()
        killed = killed_at(number, case.take_back)
        assert case.look() == case.before or case.is_new(), number
        if number % 2:
            recovery.recover(Gathered())
        case.take_back()
        assert case.look() == case.before, number
        recovery.recover(Gathered())
        assert (case.look(), debris(case.host.base)) == (case.before, []), number
    assert number > 3


def replaced(case: Case) -> None:
    """Somebody puts another file there, as an editor does."""
    beside = case.path + b".beside"
    with open(beside, "wb") as stream:
        stream.write(b"his\n")
    os.rename(beside, case.path)


def written_to(case: Case) -> None:
    with open(case.path, "ab") as stream:
        stream.write(b"his\n")


@pytest.mark.parametrize("meddle", [replaced, written_to])
@pytest.mark.parametrize("case", ["replace", "create"], indirect=True)
def test_nothing_that_somebody_else_wrote_since_is_lost(case: Case, meddle: Callable[[Case], None]) -> None:
    case.fresh()
    case.correct()
    time.sleep(0.02)  # the clock of file times ticks
    meddle(case)
    his = case.look()
    assert his is not None
    with contextlib.suppress(walk.Refused):
        case.take_back()
    recovery.recover(Gathered())
    assert his[0] in [case.look()[0], *(stored(case, item) for item in case.items())]
    if case.way == "replace":
        assert OLD in [case.look()[0], *(stored(case, item) for item in case.items())]


def stored(case: Case, item: str) -> bytes:
    (place,) = case.host.base.rglob(f"trash/{item}/item")
    return place.read_bytes()


@pytest.mark.parametrize("case", ["replace"], indirect=True)
def test_a_file_that_is_swapped_in_the_last_moment_stays(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    case.fresh()
    real = correct_files.exchange.renames.exchange
    swaps = [lambda: replaced(case)]

    def exchange(*args: object) -> None:
        while swaps:
            swaps.pop()()
        real(*args)

    monkeypatch.setattr(correct_files.exchange.renames, "exchange", exchange)
    with pytest.raises(walk.Refused) as refused:
        case.correct()
    assert refused.value.reason in ("changed_since", "hard_linked")
    assert case.look()[0] == b"his\n"


@pytest.mark.parametrize("case", ["replace"], indirect=True)
def test_a_crash_in_the_moment_of_such_a_swap_loses_neither(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    case.fresh()
    real = correct_files.exchange.renames.exchange

    def swapped_and_killed(*args: object) -> None:
        replaced(case)
        real(*args)
        os._exit(0)

    monkeypatch.setattr(correct_files.exchange.renames, "exchange", swapped_and_killed)
    assert not killed_at(10**6, case.correct)
    recovery.recover(Gathered())
    (item,) = case.items()
    assert (case.look()[0], stored(case, item)) == (NEW, b"his\n")


def test_at_no_moment_is_there_no_whole_file(disks: TwoDisks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "HOME", os.fsencode(disks.home))
    monkeypatch.setattr(recovery, "_done", [True])
    case = Case(disks, "replace")
    case.fresh()
    pid = os.fork()
    if pid == 0:
        chance = random.Random(1)
        while True:
            time.sleep(chance.random() / 1000)
            with open(case.path, "rb") as stream:
                if stream.read() not in (OLD, NEW):
                    os._exit(1)
    for _ in range(60):
        case.notes.unlink(missing_ok=True)
        case.correct()
        case.take_back()
    os.kill(pid, 9)
    assert os.WIFSIGNALED(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize("case", ["replace"], indirect=True)
def test_a_corrected_file_that_somebody_removed_comes_back(case: Case) -> None:
    number, killed = 0, True
    while killed:
        number += 1
        case.fresh()
        case.correct()
        os.unlink(case.path)
        killed = killed_at(number, case.take_back)
        recovery.recover(Gathered())
        if case.items():
            case.take_back()
        assert (case.look(), case.items(), debris(case.host.base)) == (case.before, [], []), number


def test_a_full_disk_does_not_keep_anything_from_being_taken_back(case: Case) -> None:
    case.fresh()
    change = case.change()
    content = NEW if case.way in ("replace", "create") else None
    way = correct_files.prepared(change, ARGS, change["object"]["name"], change["object"]["wanted"], content)
    parts = way.undo()
    way.make()
    full = case.host.logs / "full"
    with pytest.raises(OSError, match="No space left"), full.open("wb", 0) as stream:
        while True:
            stream.write(b"x" * 4096)
    undo.take_back(parts, {**CHANGE, "object": {}}, ARGS)
    assert case.look() == case.before
    full.unlink()
    way.close()
    recovery.recover(Gathered())
    assert (case.items(), debris(case.host.base)) == ([], [])
