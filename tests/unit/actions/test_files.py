"""Changes of files become steps of one file each, and answers become outcomes; silence is never success."""

from datetime import UTC, datetime

import pytest

from maintenancebot.actions import disk, logs, trash
from maintenancebot.model import Action, Change, Finding, Json, Undo
from maintenancebot.plan.document import make_change
from maintenancebot.probes.trash import items
from maintenancebot.settings import Settings

SETTINGS = Settings.model_validate(
    {
        "tasks": [{"name": "logs", "type": "cleanup", "patterns": [{"path": "/srv/log/*.log", "retention_days": 30}]}],
        "deletion": {"allow": ["/srv/log"], "protect": ["*.key"], "keep_days": 7},
    }
)
IDENTITY = {"dev": 1, "ino": 2, "size": 3, "mtime_ns": 4}
HELD = {
    "state": "held",
    "path": "/srv/log/a.log",
    "store": "/var/lib/maintenancebot/trash",
    "allocated": 4096,
    "quarantined_at": 1_700_000_000,
    "purge_after": 1_700_600_000,
    "action": "quarantine_file",
    "task": "logs",
    "run": "r1",
    "identity": IDENTITY,
}


def change(action: Action, path: str) -> Change:
    return make_change("web-1", "logs", action, name=path, identity={"path": path}, undo=Undo.TRASH)


def test_each_file_is_a_step_and_the_rules_travel_along() -> None:
    changes = [change(Action.COMPRESS_FILE, "/srv/log/a.log"), change(Action.QUARANTINE_FILE, "/srv/log/b.log")]
    steps = logs.steps(SETTINGS.tasks[0], SETTINGS, changes)
    assert [(step.op, step.changes) for step in steps] == [
        ("logs.compress", (changes[0],)),
        ("trash.move", (changes[1],)),
    ]
    rules = {"allow": ["/srv/log"], "protect": ["*.key"], "keep_days": 7}
    assert steps[0].args == {**rules, "keep": "here", "elsewhere": "", "offload": None}
    assert len({step.id for step in steps}) == 2


def test_items_are_read_from_the_hosts_records_the_oldest_first() -> None:
    young = {**HELD, "quarantined_at": 1_700_000_001}
    odd = {"state": "unreadable", "store": "/s", "detail": "damaged record", "identity": "no", "purge_after": "soon"}
    found = items(
        "web-1", [Finding("t", "item", "2", young), Finding("t", "item", "1", HELD), Finding("t", "item", "3", odd)]
    )
    assert [item.id for item in found] == ["3", "1", "2"]
    assert (found[0].state, found[0].detail, found[0].purge_after) == ("unreadable", "damaged record", None)
    assert (found[1].size, found[1].allocated) == (3, 4096)
    assert found[1].quarantined_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


def test_an_item_is_restored_by_its_id() -> None:
    (item,) = items("web-1", [Finding("t", "item", "1", HELD)])
    step = trash.restore_step(item, "/srv/log/b.log")
    (one,) = step.changes
    assert (step.op, one.action, one.name) == ("trash.restore", Action.RESTORE_FILE, "/srv/log/b.log")
    assert one.object == {"item": "1", "to": "/srv/log/b.log"}


def test_a_purge_carries_the_caps_and_for_space_the_minimum_stay() -> None:
    one = make_change("web-1", "trash", Action.PURGE_ITEM, name="/a", identity={"item": "1"}, undo=Undo.NONE)
    caps = {"cap_files": 10_000, "cap_bytes": 50 * 2**30}
    step = trash.purge_step(one, SETTINGS)
    assert (step.op, step.task, step.changes, step.args) == ("trash.purge", "trash", (one,), caps)
    assert trash.purge_step(one, SETTINGS, for_space=True).args == {**caps, "for_space": True, "minimum_days": 7}


def test_every_way_of_a_full_disk_has_its_step_and_ends_when_enough_is_free() -> None:
    def one(action: Action, **identity: Json) -> Change:
        return make_change("web-1", "remediate_disk", action, name="/a", identity=identity, undo=Undo.TRASH)

    changes = [
        one(Action.DROP_PACKAGE_CACHE, folder="/var/cache/apt/archives"),
        one(Action.VACUUM_JOURNAL, folder="/var/log/journal"),
        one(Action.QUARANTINE_FILE, path="/srv/log/a", keep="compressed"),
        one(Action.RELOCATE_ITEM, item="1", into="elsewhere"),
        one(Action.PURGE_ITEM, item="2"),
    ]
    steps = disk.steps(changes, SETTINGS, "/srv", 1000)
    assert [step.op for step in steps] == [
        "caches.drop",
        "journal.vacuum",
        "trash.move",
        "trash.relocate",
        "trash.purge",
    ]
    assert [step.args["enough"] for step in steps] == [{"path": "/srv", "available": 1000}] * 5
    assert steps[2].args["keep"] == "compressed"
    assert steps[4].args["for_space"] is True
    assert {step.task for step in steps} == {"remediate_disk"}
    assert not any("enough" in step.args for step in disk.steps(changes, SETTINGS, "/srv", None))


@pytest.mark.parametrize(
    ("form", "action"),
    [("volume", Action.RESTORE_VOLUME), ("image", Action.RESTORE_IMAGE), ("gzip", Action.RESTORE_FILE)],
)
def test_what_is_no_file_comes_back_by_an_action_of_its_own(form: str, action: Action) -> None:
    data = {"state": "held", "path": "volume pgdata", "form": form, form: {"name": "pgdata"}}
    (item,) = items("web-1", [Finding("trash", "item", "i1", data)])
    assert item.holds == ({} if form == "gzip" else {"name": "pgdata"})
    (change,) = trash.restore_step(item, "other").changes
    assert (change.action, change.name, change.object) == (action, "other", {"item": "i1", "to": "other"})
