"""One item is corrected, or left as it was; what may lock everybody out stays only when a new login was seen."""

import base64
import hashlib
import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from maintenancebot.helper import frames
from maintenancebot.helper.drift import (
    correct,
    correct_files,
    correct_units,
    drift,
    held_against,
    revert,
    revert_units,
    taking_up,
    validators,
    well,
)
from maintenancebot.helper.trash import exchange, recovery, store

from ..conftest import SmallHost, told
from ..driver import Gathered

SECRET = b"token=Zk93hD72mQp0xVbN4sLt8RcY1eUaJw6GfKoHi5Zz\n"
OLD, NEW = b"old " + SECRET, b"new " + SECRET


class Asked(Gathered):
    """Answers whether a new login works."""

    def __init__(self, answer: Callable[[], dict]) -> None:
        super().__init__()
        self.answer = answer

    def ask(self, kind: str) -> dict:
        assert kind == "login"
        return self.answer()


class Timers:
    """The host's timers and their programs, without the host."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.waiting: set[str] = set()
        self.works = True
        monkeypatch.setattr(revert_units, "arm", self.arm)
        monkeypatch.setattr(revert_units, "disarm", self.waiting.discard)
        monkeypatch.setattr(revert_units, "is_waiting", self.waiting.__contains__)
        monkeypatch.setattr(revert, "_write_program", lambda fd: None)

    def arm(self, name: str, path: str, seconds: int) -> None:
        assert os.path.isdir(path)
        assert seconds == 60
        if not self.works:
            raise revert.walk.Refused("lacks", "no systemd")
        self.waiting.add(name)

    def fire(self, home: Path, name: str) -> int:
        """What systemd runs; its exit code."""
        try:
            revert.main(str(home / "maintenancebot" / "reverts" / name), "timer")
        except SystemExit as ended:
            return int(ended.code or 0)
        return 0


class Case:
    """A declared file, and all that it takes to correct it in this process."""

    def __init__(self, host: SmallHost, timers: Timers) -> None:
        self.host, self.timers = host, timers
        self.path = host.file("app.conf", OLD)
        self.login: Callable[[], dict] = lambda: {"ok": True}

    def change(self, number: int = 1, **more: Any) -> dict:
        wanted = {"state": "present", "sha256": hashlib.sha256(NEW).hexdigest(), "size": len(NEW), "mode": "0600"}
        name = frames.text(self.path)
        asked = {"kind": "file", "name": name, "wanted": wanted, "item": f"file:{name}", "lockout": True, "reload": ""}
        asked.update(more)
        ((_, found),) = drift.look([{**asked, "id": asked["item"]}])
        made = {"id": f"{number:016x}", "task": "drift", "action": "correct_file", "name": asked["item"]}
        return {**made, "object": {**asked, "found": found.found, "identity": found.identity}}

    def correct(self, change: dict, content: bytes = NEW) -> dict:
        args: dict[str, Any] = {"revert_seconds": 60, "keep_days": 30}
        if "sha256" in change["object"]["wanted"]:
            args["content"] = base64.b64encode(content).decode()
        (made,) = correct.correct({"changes": [change], "args": args, "run": "r"}, Asked(lambda: self.login()))
        return made

    def fire(self, change: dict) -> int:
        return self.timers.fire(self.host.home, change["id"])

    @property
    def content(self) -> bytes:
        with open(self.path, "rb") as stream:
            return stream.read()


@pytest.fixture
def case(host: SmallHost, monkeypatch: pytest.MonkeyPatch) -> Case:
    monkeypatch.setattr(store, "HOME", os.fsencode(host.home))
    monkeypatch.setattr(recovery, "_done", [True])
    monkeypatch.setattr(revert, "HOST_SECONDS", 0)
    monkeypatch.setattr(taking_up, "AT_LOGIN", re.compile(".*/app[.]conf|.*/other[.]conf"))
    return Case(host, Timers(monkeypatch))


def verdict(made: dict) -> tuple[str, str]:
    return made["state"], made["reason"]


def test_it_stays_once_a_new_login_works(case: Case) -> None:
    change = case.change()
    made = case.correct(change)
    assert verdict(made) == ("done", "verified")
    assert (case.content, told(case.path)[1] & 0o7777) == (NEW, 0o600)
    assert case.timers.waiting == set()
    assert case.fire(change) == 0
    assert case.content == NEW
    recalled = correct.recall(change)
    assert verdict(recalled) == ("done", "verified")
    assert recalled["measured"] == made["measured"]


@pytest.mark.parametrize("answer", [{"ok": False, "detail": "refused"}, {"refused": "stopped", "detail": ""}, {}])
def test_it_goes_back_at_once_when_no_new_login_works(case: Case, answer: dict) -> None:
    before, change = told(case.path), case.change()
    case.login = lambda: answer
    assert verdict(case.correct(change)) == ("failed", "reverted")
    assert (told(case.path), case.timers.waiting, case.host.trash()) == (before, set(), [])
    assert verdict(correct.recall(change)) == ("failed", "reverted")


def test_done_is_what_a_second_look_finds(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    real = exchange.Exchange.make

    def make_and_be_undone(one: exchange.Exchange) -> None:
        real(one)
        os.chmod(case.path, 0o640)  # somebody else, in this very moment

    change = case.change()
    monkeypatch.setattr(exchange.Exchange, "make", make_and_be_undone)
    made = case.correct(change)
    assert (*verdict(made), "still differs in mode" in made["detail"]) == ("failed", "reverted", True)
    assert case.content == OLD


def test_it_goes_back_when_the_controller_is_gone(case: Case) -> None:
    def gone() -> dict:
        raise frames.StdinClosed()

    before, change = told(case.path), case.change()
    case.login = gone
    with pytest.raises(frames.StdinClosed):
        case.correct(change)
    assert told(case.path) == before
    assert verdict(correct.recall(change)) == ("failed", "reverted")


def test_the_timer_that_comes_first_wins(case: Case) -> None:
    before, change = told(case.path), case.change()

    def too_late() -> dict:
        assert verdict(correct.recall(change)) == ("unknown", "busy")
        assert case.fire(change) == 0
        return {"ok": True}

    case.login = too_late
    made = case.correct(change)
    assert (verdict(made), told(case.path)) == (("failed", "reverted"), before)
    assert "the timer that takes it back came first" in made["detail"]


def test_a_unit_that_does_not_stay_well_is_set_back_and_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    monkeypatch.setattr(recovery, "_done", [True])
    monkeypatch.setattr(revert, "settle", lambda out: None)
    monkeypatch.setattr(correct_units, "switch", lambda unit, wanted, more=(): called.append(f"{unit} {wanted}"))
    monkeypatch.setattr(well, "watch", lambda unit: "app.service is failed")
    monkeypatch.setattr(well, "look", lambda unit: {})
    found = held_against.Found(held_against.DIFFERS, {"active": False}, ["active"])
    monkeypatch.setattr(drift, "look", lambda items: [(items[0], found)])
    asked = {"kind": "service", "name": "app", "item": "service:app", "wanted": {"active": True}, "reload": ""}
    asked.update(found=found.found, identity=found.identity, lockout=False)
    change = {"id": "1" * 16, "task": "drift", "action": "correct_service", "object": asked}
    (made,) = correct.correct({"changes": [change], "args": {"keep_days": 30}, "run": "r"}, Asked(dict))
    assert (verdict(made), made["detail"]) == (("failed", "reverted"), "app.service is failed; all is as before")
    assert called == ["app.service {'active': True}", "app.service {'active': False}"]


def test_nothing_is_changed_once_the_timer_has_fired(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    before, change = told(case.path), case.change()
    real = revert.Revert.acting

    def slept(self: revert.Revert) -> Any:
        case.fire(change)
        return real(self)

    monkeypatch.setattr(revert.Revert, "acting", slept)
    assert verdict(case.correct(change)) == ("skipped", "reverted")
    assert told(case.path) == before


def test_without_a_timer_nothing_is_changed(case: Case) -> None:
    before = told(case.path)
    case.timers.works = False
    assert verdict(case.correct(case.change())) == ("failed", "lacks")
    assert (told(case.path), case.host.trash()) == (before, [])
    assert list((case.host.home / "maintenancebot" / "reverts").iterdir()) == []


def abandoned(case: Case) -> dict:
    """A correction whose helper was killed while it asked."""
    change = case.change()

    def killed() -> dict:
        os._exit(0)

    case.login = killed
    pid = os.fork()
    if pid == 0:
        case.correct(change)
    os.waitpid(pid, 0)
    case.timers.waiting.add(change["id"])
    assert case.content == NEW
    case.login = lambda: {"ok": True}
    return change


def test_a_killed_helper_leaves_it_to_the_timer(case: Case) -> None:
    before = told(case.path)
    change = abandoned(case)
    assert case.fire(change) == 0
    assert (told(case.path), case.timers.waiting) == (before, set())
    assert verdict(correct.recall(change)) == ("failed", "reverted")


def test_nothing_else_is_begun_while_a_timer_waits(case: Case) -> None:
    abandoned(case)
    case.path = case.host.file("other.conf", OLD)
    assert verdict(case.correct(case.change(2))) == ("skipped", "busy")
    assert case.content == OLD


def test_a_timer_that_somebody_stopped_is_made_up_for(case: Case) -> None:
    change = abandoned(case)
    case.timers.waiting.clear()
    assert verdict(case.correct(case.change(2, lockout=False))) == ("skipped", "changed_since")
    assert case.content == OLD
    assert verdict(correct.recall(change)) == ("failed", "reverted")


def test_what_cannot_be_taken_back_is_tried_again(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    before, change = told(case.path), abandoned(case)
    with monkeypatch.context() as broken:
        broken.setattr(revert.undo, "take_back", lambda *_: (_ for _ in ()).throw(OSError(30, "read-only")))
        assert case.fire(change) == 1
    assert (case.content, verdict(correct.recall(change))) == (NEW, ("unknown", "busy"))
    assert case.fire(change) == 0
    assert told(case.path) == before


def test_a_full_disk_does_not_keep_it_from_being_taken_back(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    before, change = told(case.path), abandoned(case)
    with monkeypatch.context() as full:
        full.setattr(revert.manifest, "write", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
        assert case.fire(change) == 0
    assert (told(case.path), case.timers.waiting) == (before, set())
    revert.settle(Gathered())
    assert (told(case.path), verdict(correct.recall(change))) == (before, ("failed", "reverted"))


def test_a_timer_that_cannot_be_taken_away_finds_it_confirmed(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    change = case.change()
    with monkeypatch.context() as stuck:
        stuck.setattr(revert_units, "disarm", lambda name: (_ for _ in ()).throw(OSError(30, "read-only")))
        assert verdict(case.correct(change)) == ("done", "verified")
    assert case.timers.waiting == {change["id"]}
    assert case.fire(change) == 0
    assert (case.content, case.timers.waiting) == (NEW, set())


def test_what_somebody_has_replaced_since_stays_his(case: Case) -> None:
    change = abandoned(case)
    os.rename(case.host.file("his.conf", b"his\n"), case.path)
    assert case.fire(change) == 0
    assert case.content == b"his\n"
    assert verdict(correct.recall(change)) == ("failed", "revert_failed")
    (item,) = case.host.trash()
    assert item["data"]["state"] == "held"


def test_no_record_holds_what_is_in_the_file(case: Case) -> None:
    abandoned(case)
    for path in case.host.home.rglob("record"):
        assert b"Zk93hD72" not in path.read_bytes()
    for path in case.host.base.rglob("manifest.json"):
        assert b"Zk93hD72" not in path.read_bytes()


def test_a_broken_candidate_is_never_installed(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    before, change = told(case.path), case.change()
    monkeypatch.setattr(validators, "fault", lambda kind, way, out: "line 1: nonsense")
    made = case.correct(change)
    assert (verdict(made), made["detail"]) == (("failed", "config_invalid"), "line 1: nonsense")
    assert (told(case.path), case.host.trash(), case.timers.waiting) == (before, [], set())


def test_a_service_that_is_not_well_gets_its_old_file_back(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    before, calls = told(case.path), []
    monkeypatch.setattr(well, "look", lambda unit: {"ActiveState": "active"})
    monkeypatch.setattr(
        well, "reload", lambda unit, out, restart: calls.append(case.content) or "app.service is failed"
    )
    monkeypatch.setattr(well, "bring_back", lambda unit, ran, restart: calls.append((case.content, ran)) or "")
    made = case.correct(case.change(lockout=False, reload="app.service"))
    assert (verdict(made), calls) == (("failed", "reverted"), [NEW, (OLD, True)])
    assert told(case.path) == before


@pytest.mark.parametrize("meddle", ["content", "touched", "link", "second name", "writer", "immutable", "gone"])
def test_what_is_not_as_planned_is_left_alone(case: Case, meddle: str) -> None:
    path, change, writer = case.path, case.change(), None
    if meddle == "content":
        case.host.file("app.conf", b"other\n")
    elif meddle == "touched":
        os.utime(path)
    elif meddle == "link":
        os.rename(path, path + b".real")
        os.symlink(b"app.conf.real", path)
    elif meddle == "second name":
        os.link(path, path + b".too")
        change = case.change()
    elif meddle == "writer":
        writer = open(path, "ab")  # noqa: SIM115
    elif meddle == "immutable":
        subprocess.run(["chattr", "+i", path], check=True)
        change = case.change()
    elif meddle == "gone":
        os.unlink(path)
    try:
        before = case.content if meddle != "gone" else None
        made = case.correct(change)
    finally:
        if meddle == "immutable":
            subprocess.run(["chattr", "-i", path], check=True)
        if writer:
            writer.close()
    reasons = {"link": "symlink", "second name": "hard_linked", "writer": "in_use", "immutable": "immutable"}
    expected = reasons.get(meddle, "changed_since")
    assert verdict(made) == ("skipped", expected), made
    assert (case.content if before is not None else None) == before
    assert case.host.trash() == []


def test_the_accounts_of_the_host_are_no_file_to_replace(case: Case) -> None:
    change = case.change(name="/etc/passwd", lockout=False)
    before = Path("/etc/passwd").read_bytes()
    assert verdict(case.correct(change)) == ("skipped", "protected")
    assert Path("/etc/passwd").read_bytes() == before


def test_a_content_that_is_not_the_declared_one_is_not_installed(case: Case) -> None:
    assert verdict(case.correct(case.change(), b"something else\n")) == ("skipped", "garbled")
    assert case.content == OLD


def test_a_new_owner_does_not_lend_his_rights(case: Case) -> None:
    os.chown(case.path, 1234, 1234)
    os.chmod(case.path, 0o4755)
    change = case.change(wanted={"state": "present", "owner": "0", "group": "0"}, lockout=False)
    args = {"revert_seconds": 60, "keep_days": 30}
    (made,) = correct.correct({"changes": [change], "args": args}, Gathered())
    assert (verdict(made), told(case.path)[1:4]) == (("done", "verified"), (0o100755, 0, 0))


def test_access_lists_and_attributes_of_the_old_file_are_the_new_ones(case: Case) -> None:
    access = bytes.fromhex("0200000001000600ffffffff02000400d204000004000400ffffffff10000400ffffffff20000000ffffffff")
    os.setxattr(case.path, "system.posix_acl_access", access)
    os.setxattr(case.path, "user.note", b"kept")
    wanted = {"state": "present", "sha256": hashlib.sha256(NEW).hexdigest(), "size": len(NEW)}
    before = told(case.path)
    assert verdict(case.correct(case.change(wanted=wanted))) == ("done", "verified")
    after = told(case.path)
    assert (after[0], after[1:4], after[6]) == (NEW, before[1:4], before[6])


def test_settled_records_are_forgotten_after_a_week(case: Case) -> None:
    case.correct(case.change())
    (record,) = case.host.home.rglob("record")
    assert json.loads(record.read_text())["state"] == "confirmed"
    os.utime(record, (0, 0))
    revert.settle(Gathered())
    assert not record.parent.exists()


def test_a_way_back_whose_record_was_never_written_hinders_nothing(case: Case) -> None:
    left = "f" * 16
    os.close(revert._folder(left))  # killed right there
    assert correct.recall({**case.change(), "id": left})["reason"] == "not_started"
    assert verdict(case.correct(case.change())) == ("done", "verified")
    folder = case.host.home / "maintenancebot" / "reverts" / left
    os.utime(folder, (0, 0))
    revert.settle(Gathered())
    assert not folder.exists()


CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")


def test_a_program_keeps_its_capabilities(case: Case) -> None:
    os.setxattr(case.path, "security.capability", CAPABILITY)
    wanted = {"state": "present", "mode": "0750"}
    assert verdict(case.correct(case.change(wanted=wanted))) == ("done", "verified")
    assert os.getxattr(case.path, "security.capability") == CAPABILITY
    wanted = {"state": "present", "sha256": hashlib.sha256(NEW).hexdigest(), "size": len(NEW)}
    assert verdict(case.correct(case.change(2, wanted=wanted))) == ("done", "verified")
    assert os.getxattr(case.path, "security.capability") == CAPABILITY


def test_an_owner_that_is_taken_back_has_the_capabilities_again(case: Case) -> None:
    os.setxattr(case.path, "security.capability", CAPABILITY)
    seen: list[list[str]] = []

    def refused() -> dict:
        seen.append(os.listxattr(case.path))
        return {"ok": False}

    case.login = refused
    change = case.change(wanted={"state": "present", "owner": "1234"})
    assert verdict(case.correct(change)) == ("failed", "reverted")
    assert "security.capability" not in seen[0], "a new owner does not inherit them"
    assert os.getxattr(case.path, "security.capability") == CAPABILITY


def test_a_large_file_is_not_read_for_another_mode(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(self: correct_files.Dressed) -> bytes:
        raise MemoryError

    monkeypatch.setattr(correct_files.Dressed, "content", property(read))
    change = case.change(wanted={"state": "present", "mode": "0604"})
    assert verdict(case.correct(change)) == ("done", "verified")


def test_no_service_hears_of_a_correction_that_was_not_made(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(well, "look", lambda unit: {"ActiveState": "active"})
    change = case.change(lockout=False, reload="app.service")
    real = validators.fault

    def meanwhile(*words: Any) -> str:
        os.utime(case.path)
        return real(*words)

    monkeypatch.setattr(validators, "fault", meanwhile)
    assert verdict(case.correct(change)) == ("skipped", "changed_since")
