"""An item goes to an object store and back by engine, real helper and real HTTP, and no address is kept anywhere."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from maintenancebot.actions import logs, trash
from maintenancebot.engine import trash as engine_trash
from maintenancebot.engine.brakes import Brakes
from maintenancebot.engine.work import Work
from maintenancebot.model import Action, Outcome, Reason, State, Step, Undo
from maintenancebot.plan.document import make_change
from maintenancebot.remote import aws
from maintenancebot.settings import Settings
from maintenancebot.store import Store
from tests.fakes.object_store import BUCKET, ENVIRONMENT, KEY_ID, REGION, SECRET, Front, object_store
from tests.unit.engine.boxes import Box, apply_held, ledger_of, settings, work

SIZE = 20 * 2**20 + 1


@pytest.fixture
def front(monkeypatch: pytest.MonkeyPatch) -> Iterator[Front]:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    aws.forget()
    with object_store() as running:
        yield running


class Fleet:
    """A box whose old logs go to the object store."""

    def __init__(self, box: Box, store: Store, front: Front) -> None:
        self.box, self.store = box, store
        place = {"bucket": BUCKET, "endpoint": front.address, "region": REGION}
        self.settings: Settings = settings(deletion={"trash": {"offload": place}})
        self.work: Work = work([box], self.settings)
        self.content = os.urandom(SIZE)
        box.write("a.log", content=self.content)

    def apply(self, step: Step) -> Outcome:
        ledger = ledger_of(self.store)
        acting: dict[str, Any] = {"logs": logs, "trash": trash}
        host, machine = self.box.host, self.box.machine_id
        made = apply_held(host, machine, [step], acting, ledger, Brakes(self.work, ledger))
        return made[step.changes[0].id]

    def move(self) -> Outcome:
        plain = self.box.change("a.log")
        identity = {**plain.object, "keep": "offloaded"}
        change = make_change(
            "web-1", "logs", Action.QUARANTINE_FILE, name=plain.name, identity=identity, undo=Undo.TRASH
        )
        return self.apply(logs.step(change, self.settings))

    def item(self) -> Any:
        (result,) = engine_trash.contents([self.box.host], self.work)
        (item,) = result.items
        return item


@pytest.fixture
def fleet(box: Box, store: Store, front: Front) -> Fleet:
    return Fleet(box, store, front)


def test_an_item_goes_to_the_store_and_comes_back(fleet: Fleet, front: Front, tmp_path: Path) -> None:
    before = (fleet.box.logs / "a.log").lstat()
    outcome = fleet.move()
    assert (outcome.state, outcome.reason) == (State.DONE, Reason.VERIFIED), outcome
    item = fleet.item()
    key = f"maintenancebot/web-1/{item.id}"
    assert (item.state, item.offload, fleet.box.trash) == ("offloaded", f"s3://{BUCKET}/{key}", [])
    assert front.objects() == {key: fleet.content}
    back = fleet.apply(trash.restore_step(item))
    assert (back.state, back.reason) == (State.DONE, Reason.VERIFIED), back
    after = (fleet.box.logs / "a.log").lstat()
    assert (fleet.box.logs / "a.log").read_bytes() == fleet.content
    assert (after.st_mode, after.st_mtime_ns, after.st_uid) == (before.st_mode, before.st_mtime_ns, before.st_uid)
    assert (front.objects(), front.unfinished()) == ({}, [])
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.name != "a.log")
    assert item.id.encode() in kept
    for secret in (b"X-Amz", b"Signature=", KEY_ID.encode(), SECRET.encode()):
        assert secret not in kept


@pytest.mark.parametrize(
    ("fault", "words"),
    [("403", "part 2: the store answers 403 AccessDenied"), ("flip", "the object store does not hold what was sent")],
)
def test_what_the_store_does_not_hold_stays_on_the_host(fleet: Fleet, front: Front, fault: str, words: str) -> None:
    front.plan["PUT"] = ["", fault]
    outcome = fleet.move()
    assert outcome.detail.endswith(words)
    assert (outcome.state, outcome.reason) == (State.DONE, Reason.NO_EFFECT)
    assert fleet.item().state == "held"
    (held,) = fleet.box.trash
    assert held.read_bytes() == fleet.content
    assert (front.objects(), front.unfinished()) == ({}, [])


def test_a_helper_killed_while_it_sends_leaves_no_parts_and_the_item_on_the_host(fleet: Fleet, front: Front) -> None:
    front.plan["PUT"] = ["", "hang"]

    def kill() -> None:
        end = time.monotonic() + 30
        while front.count("PUT") < 2 and time.monotonic() < end:
            time.sleep(0.05)
        fleet.box.kill_helper()

    killer = threading.Thread(target=kill)
    killer.start()
    outcome = fleet.move()
    killer.join()
    assert outcome.state is State.UNKNOWN
    assert front.count("PUT") == 2
    assert front.unfinished() == []
    assert fleet.item().state == "held"
    back = fleet.apply(trash.restore_step(fleet.item()))
    assert back.state is State.DONE, back
    assert (fleet.box.logs / "a.log").read_bytes() == fleet.content
