"""An object that two tasks of a host find is planned by the first of them alone, and the second says so."""

from maintenancebot.model import Action, Change, Json, State, TaskType, Undo
from maintenancebot.plan.document import TaskPlan, make_change
from maintenancebot.plan.once import once


def change(task: str, action: Action = Action.QUARANTINE_FILE, **identity: Json) -> Change:
    return make_change("web-1", task, action, name="x", identity=identity, undo=Undo.TRASH)


def plan(task: str, *changes: Change) -> TaskPlan:
    return TaskPlan(task, TaskType.CLEANUP, State.PLANNED, detail="2 matched", changes=changes, facts={})


def test_the_same_file_is_planned_once_whatever_is_to_be_done_to_it() -> None:
    first = plan("one", change("one", dev=1, ino=1))
    second = plan("two", change("two", Action.COMPRESS_FILE, dev=1, ino=1), change("two", dev=1, ino=2))
    made = once([first, second])
    assert made[0] == first
    assert [one.object["ino"] for one in made[1].changes] == [2]
    assert (made[1].state, made[1].detail) == (State.PLANNED, "2 matched; 1 planned by an earlier task")
    assert made[1].facts["kept"] == {"kept": 1}


def test_a_task_whose_objects_are_all_taken_has_nothing_to_do() -> None:
    made = once([plan(name, change(name, Action.VACUUM_JOURNAL, folder="/var/log/journal/m")) for name in "ab"])
    assert [(len(one.changes), one.state) for one in made] == [(1, State.PLANNED), (0, State.NOTHING)]


def test_other_devices_other_kinds_and_one_file_in_one_task_are_left_alone() -> None:
    plans = [
        plan("one", change("one", dev=1, ino=1), change("one", Action.UPGRADE_PACKAGE, package="a")),
        plan("two", change("two", dev=2, ino=1), change("two", Action.UPGRADE_PACKAGE, package="a")),
    ]
    assert list(once(plans)) == plans
