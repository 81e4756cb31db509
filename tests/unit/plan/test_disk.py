"""How a full file system gets below its target: by its own objects alone, in the order of the ways, and no further."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintenancebot.model import Action, Change, Reason, State, Undo
from maintenancebot.plan import disk as planner
from maintenancebot.plan import filesystem
from maintenancebot.plan.document import TaskPlan, make_change
from maintenancebot.plan.filesystem import Disk, Measure
from maintenancebot.settings import Settings, Way
from tests.unit.plan.test_trash import NOW, Held

MIB = 2**20
TASK = {"name": "logs", "type": "cleanup", "patterns": [{"path": "/srv/data/**/*", "retention_days": 30}]}
PLACES = {"elsewhere": "/mnt/spare/trash", "offload": {"bucket": "bucket"}}


def settings(ways: list[str] | None = None, places: dict[str, Any] | None = None, **deletion: Any) -> Settings:
    disk: dict[str, Any] = {"target_percent": 80, **({"ways": ways} if ways is not None else {})}
    deletion = {"allow": ["/srv/data"], "trash": PLACES if places is None else places, **deletion}
    return Settings.model_validate({"tasks": [TASK], "deletion": deletion, "remediation": {"disk": disk}})


def measured(percent: int = 95, *, dev: int = 7, total: int = 200 * MIB, inode_percent: int = 5) -> Measure:
    used = total * percent // 100
    inodes = 10_000 * inode_percent // 100
    return Measure(dev, total, used, total - used, percent, 10_000, inodes, 10_000 - inodes, inode_percent)


def disk(percent: int = 95, *, spare: Measure | None = None, **more: Any) -> Disk:
    return Disk("/srv/data", "ext4", measured(percent, **more), spare or measured(10, dev=8))


def file(name: str, size: int = 10 * MIB, *, dev: int = 7, **more: Any) -> Change:
    path = f"/srv/data/{name}"
    identity = {"path": path, "root": "/srv/data", "dev": dev, "ino": 9, "size": size, **more}
    effect = {"freed_now": 0, "freed_at_purge": size}
    return make_change(
        "web-1", "x", Action.QUARANTINE_FILE, name=path, identity=identity, undo=Undo.TRASH, effect=effect
    )


def cache(size: int = 10 * MIB, *, dev: int = 7, action: Action = Action.DROP_PACKAGE_CACHE) -> Change:
    identity = {"dev": dev, "size": size, "files": [["a.deb", 1, 2, 3]]}
    return make_change(
        "web-1", "x", action, name="/srv/data/cache", identity=identity, undo=Undo.REFETCH, effect={"freed_now": size}
    )


def held(id_: str, size: int = 10 * MIB, age: float = 10, **more: Any) -> Held:
    return Held(id_, age, size=size, stored_bytes=size, path=f"/srv/data/{id_}.log", **more)


def plan(*things: Change | Held, on: Disk | None = None, rules: Settings | None = None) -> TaskPlan:
    changes = [thing for thing in things if isinstance(thing, Change)]
    items = [thing for thing in things if isinstance(thing, Held)]
    return planner.plan("web-1", on or disk(), changes, items, rules or settings(), NOW)


def ways(found: TaskPlan) -> list[str]:
    return [change.effect["way"] for change in found.changes]


def names(found: TaskPlan) -> list[str]:
    return [change.name.removeprefix("/srv/data/") for change in found.changes]


# What is needed


@pytest.mark.parametrize("percent", [1, 50, 79])
def test_below_its_target_nothing_is_needed(percent: int) -> None:
    found = plan(file("a"), on=disk(percent))
    assert (found.state, found.reason, found.changes) == (State.NOTHING, Reason.TARGET_MET, ())


def shown(measure: Measure, freed: int) -> int:
    """What df shows when so much is freed."""
    return -(-100 * (measure.used - freed) // (measure.used + measure.available))


@given(st.integers(1, 10**12), st.integers(0, 10**12), st.integers(10, 98))
def test_what_is_needed_gets_df_below_the_target_and_not_far_below(used: int, available: int, target: int) -> None:
    whole = used + available
    percent = -(-100 * used // whole)
    measure = Measure(7, whole, used, available, percent, 0, 0, 0, 0)
    needed = filesystem.need(measure, target)
    assert bool(needed) == (percent >= target)
    if needed and available:
        assert shown(measure, needed.bytes) < target
        assert needed.available == available + needed.bytes
        assert shown(measure, needed.bytes) >= target - 2 or whole < 1000


def test_a_disk_without_one_free_byte_needs_what_is_kept_back_for_root_too() -> None:
    full = Measure(7, 200 * MIB, 200 * MIB, 0, 100, 0, 0, 0, 0)
    needed = filesystem.need(full, 80)
    assert needed.bytes > 200 * MIB - 190 * MIB * 79 // 100


def test_what_may_go_elsewhere_leaves_that_file_system_below_the_target_too() -> None:
    spare = measured(70)
    space = filesystem.room(spare, 80)
    assert 0 < space < spare.available
    assert shown(replace(spare, used=spare.used + space, available=spare.available - space), 0) < 80
    assert filesystem.room(measured(90), 80) == 0


# Ways in their order


def test_ways_are_used_in_their_order_until_it_is_enough() -> None:
    things = [cache(), cache(action=Action.VACUUM_JOURNAL), file("a", 30 * MIB), held("old", 30 * MIB, 20)]
    assert ways(plan(*things)) == ["package_cache", "journal", "compressed"]
    backwards = settings([way.value for way in reversed(Way)])
    assert ways(plan(*things, rules=backwards)) == ["purge", "offloaded"]
    assert ways(plan(*things, rules=settings(["journal"]))) == ["journal"]


def test_a_way_for_which_nothing_is_configured_is_passed_over() -> None:
    things = [file("a.gz", 40 * MIB)]
    assert ways(plan(*things)) == ["elsewhere"]
    assert ways(plan(*things, rules=settings(places={"offload": {"bucket": "bucket"}}), on=_without_spare())) == [
        "offloaded"
    ]
    nothing = plan(*things, rules=settings(places={}), on=_without_spare())
    assert (nothing.state, nothing.reason) == (State.FAILED, Reason.NOT_ENOUGH)


def _without_spare() -> Disk:
    return replace(disk(), elsewhere=None)


def test_a_trash_elsewhere_on_the_very_disk_frees_nothing_there() -> None:
    found = plan(file("a.gz", 40 * MIB), on=disk(spare=measured(10)), rules=settings(["elsewhere"]))
    assert found.reason is Reason.NOT_ENOUGH


def test_elsewhere_is_not_filled_up_in_turn() -> None:
    small = measured(60, dev=8)
    found = plan(*(file(f"{n}.gz", 8 * MIB) for n in range(9)), on=disk(spare=small), rules=settings(["elsewhere"]))
    assert 0 < len(found.changes) * 8 * MIB <= filesystem.room(small, 80)
    assert found.facts["is_enough"] is False


def test_items_of_the_trash_go_before_files_in_their_place_and_the_largest_first() -> None:
    things = [file("big", 90 * MIB), held("tiny", MIB), held("small", 20 * MIB), held("large", 50 * MIB)]
    found = plan(*things, rules=settings(["compressed"]))
    assert [change.name for change in found.changes] == ["/srv/data/small.log", "/srv/data/large.log"]
    assert found.changes[0].action is Action.RELOCATE_ITEM
    assert found.changes[1].object == {"item": "large", "ino": 5, "size": 1000, "into": "compressed"}


def test_more_is_compressed_than_the_estimate_needs() -> None:
    found = plan(*(file(f"{n}.log") for n in range(9)), rules=settings(["compressed"]))
    need = found.facts["need"]["bytes"]
    assert sum(10 * MIB // 2 - 8192 for _ in found.changes) >= need
    assert found.facts["expected"] > need
    assert {change.effect["estimate"] for change in found.changes} == {True}
    assert {change.object["keep"] for change in found.changes} == {"compressed"}


def test_what_is_compressed_already_is_not_compressed_again() -> None:
    found = plan(file("a.gz", 50 * MIB), held("b", 90 * MIB, form="gzip"), rules=settings(["compressed"]))
    assert found.reason is Reason.NOT_ENOUGH


def test_a_later_way_takes_over_what_compressing_alone_does_not_reach() -> None:
    found = plan(file("a", 30 * MIB), file("b", 20 * MIB), rules=settings(["compressed", "elsewhere"]))
    assert (ways(found), found.facts["is_enough"]) == (["compressed", "elsewhere"], True)


def test_the_oldest_past_their_minimum_stay_are_purged_first_and_no_younger_ones() -> None:
    items = [held("a", age=8), held("b", age=20), held("c", age=6.9), held("d", age=12), held("e", age=9)]
    found = plan(*items, rules=settings(["purge"]))
    assert [change.object["item"] for change in found.changes] == ["b", "d", "e", "a"]
    assert plan(*items, rules=settings(["purge"], min_days=13)).changes[0].object["item"] == "b"
    assert len(plan(*items, rules=settings(["purge"], min_days=13)).changes) == 1


def test_a_plan_ends_at_the_caps_and_says_so() -> None:
    rules = settings(["elsewhere"], caps={"files": 2})
    found = plan(*(file(f"{n}") for n in range(9)), rules=rules)
    assert (len(found.changes), found.facts["over_cap"]) == (2, 7)
    assert "7 more objects are over deletion.caps" in found.detail


def test_a_link_frees_nothing() -> None:
    assert plan(file("l", 90 * MIB, link="/etc"), rules=settings(["elsewhere"])).reason is Reason.NOT_ENOUGH


# Inodes


def test_inodes_are_freed_only_by_what_frees_some() -> None:
    on = disk(50, inode_percent=95)
    things = [cache(), *(file(f"{n}", 4096) for n in range(9)), held("x"), held("y", age=9)]
    found = plan(*things, on=on, rules=settings())
    assert found.facts["need"]["bytes"] == 0
    assert set(ways(found)) == {"package_cache", "elsewhere"}
    assert found.facts["goal"] is None, "a host cannot stop by bytes when inodes are what is needed"
    assert plan(*things, on=on, rules=settings(["compressed"])).reason is Reason.NOT_ENOUGH


# What stays


def test_when_nothing_allowed_frees_it_the_users_of_the_space_are_named() -> None:
    users: dict[str, Any] = {
        "directory": ({"path": "/srv/data/db", "bytes": 150 * MIB},),
        "deleted_open": ({"path": "/srv/data/x", "bytes": 20 * MIB, "process": "writer", "pid": 42},),
    }
    found = plan(on=replace(disk(), users=users, partial=True))
    assert (found.state, found.reason) == (State.FAILED, Reason.NOT_ENOUGH)
    assert found.detail == (
        "/srv/data: 95 % used, 33.0 MiB to free: nothing that is allowed frees it; most is in /srv/data/db 150.0 MiB; "
        "20.0 MiB of a deleted file that writer (42) has open: /srv/data/x; not all of it could be looked at"
    )


def test_what_is_kept_back_for_root_and_known_stores_are_named() -> None:
    full = Measure(7, 200 * MIB, 190 * MIB, 0, 100, 0, 0, 0, 0)
    users: dict[str, Any] = {"place": ({"path": "/data/d", "name": "docker", "bytes": 90 * MIB},)}
    told = filesystem.occupants(replace(disk(), measure=full, users=users))
    assert told == "of it /data/d (docker) 90.0 MiB; 10.0 MiB are kept back for root"


WHERE = st.sampled_from([7, 8, 9])
FILES = st.builds(
    lambda n, size, dev, suffix: file(f"{n}{suffix}", size, dev=dev),
    st.integers(0, 10**6),
    st.integers(0, 60 * MIB),
    WHERE,
    st.sampled_from(["", ".gz"]),
)
ITEMS = st.builds(
    lambda n, size, dev, age, form: held(str(n), size, age, dev=dev, form=form),
    st.integers(0, 10**6),
    st.integers(0, 60 * MIB),
    WHERE,
    st.floats(0, 60),
    st.sampled_from(["file", "gzip"]),
)
ORDERS = st.lists(st.sampled_from([way.value for way in Way]), unique=True)


@given(
    st.lists(FILES, max_size=12, unique_by=lambda one: one.name),
    st.lists(ITEMS, max_size=12, unique_by=lambda one: one.id),
    ORDERS,
    st.integers(80, 100),
    st.integers(1, 99),
)
def test_whatever_lies_around_only_this_disks_objects_go_once_in_order_and_no_more_than_needed(
    files: list[Change], items: list[Held], order: list[str], percent: int, inode_percent: int
) -> None:
    on = disk(percent, inode_percent=inode_percent)
    found = plan(*files, *items, on=on, rules=settings(order, caps={"bytes": 100 * MIB}))
    here = {one.object["path"] for one in files if one.object["dev"] == 7} | {one.id for one in items if one.dev == 7}
    things = [change.object.get("item") or change.object["path"] for change in found.changes]
    assert set(things) <= here
    assert len(things) == len(set(things)), "an object goes one way"
    places = [order.index(change.effect["way"]) for change in found.changes]
    assert places == sorted(places)
    ages = {one.id: one.age_days for one in items}
    assert all(ages[c.object["item"]] >= 7 for c in found.changes if c.action is Action.PURGE_ITEM)
    if found.changes and found.facts["is_enough"]:
        needed = filesystem.need(on.measure, 80)
        freed = [int(change.effect["freed_now"]) for change in found.changes]
        if "compressed" not in ways(found) and not needed.inodes:
            assert sum(freed) - max(freed) < needed.bytes + 8192 * len(freed)


def test_nothing_is_purged_for_the_sake_of_its_record() -> None:
    items = [held(str(n), 10 * MIB, 20) for n in range(2)]
    assert set(ways(plan(*items, rules=settings(["offloaded", "purge"])))) == {"offloaded"}


def test_the_patterns_of_tasks_that_may_act_are_what_may_be_taken() -> None:
    rules = Settings.model_validate(
        {
            "tasks": [
                {**TASK, "name": "a", "patterns": [{"path": "/srv/data/a/*", "retention_days": 1, "compress": True}]},
                {
                    **TASK,
                    "name": "b",
                    "approval": "observe",
                    "patterns": [{"path": "/srv/data/b/*", "retention_days": 1}],
                },
            ],
            "deletion": {"allow": ["/srv/data"]},
            "remediation": {
                "disk": {"ways": ["compressed"], "patterns": [{"path": "/srv/data/c/*", "retention_days": 2}]}
            },
        }
    )
    task = planner.cleanup_task(rules, rules.tasks)  # type: ignore[arg-type]
    assert task is not None
    assert [(one.path, one.compress) for one in task.patterns] == [("/srv/data/a/*", False), ("/srv/data/c/*", False)]
    assert (task.package_cache, task.journal) == (False, None)
    bare = Settings.model_validate({"tasks": [TASK], "deletion": {"allow": ["/srv/data"]}})
    full = planner.cleanup_task(bare, ())
    assert full is not None
    assert (full.patterns, full.package_cache, full.journal and full.journal.keep_bytes) == ((), True, 64 * MIB)


def test_what_is_compressed_beside_itself_begins_with_the_smallest() -> None:
    found = plan(
        *(file(name, size * MIB) for name, size in (("a", 12), ("b", 30), ("c", 26))), rules=settings(["compressed"])
    )
    assert names(found) == ["a", "c", "b"], "each leaves more room for the next"
