"""Each check of the gate says no for its own reason, and nothing else does."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from maintenancebot.actions.trash import restore_step
from maintenancebot.model import GUARD_REASONS, Action, Autonomy, Decision, Finding, Host, Reason, State, TaskType, Undo
from maintenancebot.plan.document import HostPlan, TaskPlan, make_change
from maintenancebot.policy import gate
from maintenancebot.policy.gate import Guards
from maintenancebot.probes.trash import items as trash_items
from maintenancebot.settings import Allowance, DriftTask, Settings

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
HOST = Host("web-1", "192.0.2.1")
FINE = Guards(known_machine_id="m1")


def settings(**more: Any) -> Settings:
    task = {"name": "logs", "type": "cleanup", "patterns": [{"path": "/var/log/**/*.log", "retention_days": 30}]}
    task.update(more.pop("task", {}))
    return Settings.model_validate({"tasks": [task], **more})


def host_plan(
    paths: list[str], *, size: int = 10, offset: float = 0.0, tree: int = 1000, machine: str = "m1"
) -> HostPlan:
    changes = tuple(
        make_change(
            "web-1",
            "logs",
            Action.QUARANTINE_FILE,
            name=path,
            identity={"path": path, "ino": n, "size": size},
            undo=Undo.TRASH,
        )
        for n, path in enumerate(paths)
    )
    task = TaskPlan("logs", TaskType.CLEANUP, State.PLANNED, changes=changes, facts={"tree_files": tree})
    return HostPlan("web-1", machine, "b1", NOW, offset, (task,))


def decide(plan: HostPlan, guards: Guards = FINE, rules: Settings | None = None, host: Host = HOST) -> list[Decision]:
    rules = rules or settings()
    return gate.decide(host, plan, rules.tasks, rules, guards)


ONE = ["/var/log/app/a.log"]


def test_nothing_objects_to_an_allowed_change() -> None:
    assert [d.state for d in decide(host_plan(ONE))] == [State.PLANNED]


@pytest.mark.parametrize(
    ("guards", "reason"),
    [
        (replace(FINE, stopped="stopped by ann: disk swap"), Reason.STOPPED),
        (replace(FINE, audit_problem="disk full"), Reason.AUDIT_UNWRITABLE),
        (replace(FINE, known_machine_id="m0"), Reason.MACHINE_CHANGED),
        (replace(FINE, frozen="frozen"), Reason.FREEZE),
        (replace(FINE, outside_window="opens later"), Reason.OUTSIDE_WINDOW),
        (replace(FINE, breakers={"cleanup": "3 failures"}), Reason.BREAKER_OPEN),
        (replace(FINE, actions_left=0), Reason.BUDGET_SPENT),
    ],
)
def test_each_guard_has_its_own_reason(guards: Guards, reason: Reason) -> None:
    (decision,) = decide(host_plan(ONE), guards)
    assert (decision.state, decision.reason) == (State.SKIPPED, reason)
    assert reason in GUARD_REASONS
    assert decision.detail


def test_a_host_without_machine_id_is_not_changed() -> None:
    assert decide(host_plan(ONE, machine=""))[0].reason is Reason.MACHINE_CHANGED


def test_a_host_of_a_list_that_is_too_old_is_left_alone() -> None:
    old = replace(HOST, stale="the list of its servers is from 30 hours ago")
    assert decide(host_plan(ONE), host=old)[0].reason is Reason.INVENTORY_STALE


def test_a_host_in_maintenance_is_left_alone() -> None:
    assert decide(host_plan(ONE), host=replace(HOST, maintenance=True))[0].reason is Reason.MAINTENANCE


def test_autonomy_decides_between_looking_waiting_and_doing() -> None:
    states = {
        level: decide(host_plan(ONE), rules=settings(task={"approval": level.value}))[0].state for level in Autonomy
    }
    assert states == {
        Autonomy.OBSERVE: State.SKIPPED,
        Autonomy.REQUIRED: State.WAITING,
        Autonomy.NOTIFY: State.PLANNED,
        Autonomy.AUTO: State.PLANNED,
    }


def test_an_approved_object_goes_and_its_neighbour_waits() -> None:
    plan = host_plan(["/var/log/a.log", "/var/log/b.log"])
    approved = replace(FINE, approved=frozenset({plan.changes[0].id}))
    assert [d.state for d in decide(plan, approved, settings(task={"approval": "required"}))] == [
        State.PLANNED,
        State.WAITING,
    ]


@pytest.mark.parametrize("offset", [-301.0, 301.0, 4e7])
def test_a_wrong_clock_forbids_what_depends_on_age(offset: float) -> None:
    assert decide(host_plan(ONE, offset=offset))[0].reason is Reason.CLOCK_SKEW


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "/var/logs/a.log", "/var/log/../../etc/shadow", "/var/log", "relative", ""]
)
def test_what_lies_outside_the_allowlist_is_not_allowed_whoever_planned_it(path: str) -> None:
    assert decide(host_plan([path]))[0].reason is Reason.NOT_ALLOWED


def test_protection_beats_the_allowlist() -> None:
    rules = settings(deletion={"protect": ["/var/log/app/*"]})
    assert decide(host_plan(ONE), rules=rules)[0].reason is Reason.PROTECTED


def test_more_files_bytes_or_share_than_the_caps_wait_for_a_person() -> None:
    many = [f"/var/log/{n}.log" for n in range(120)]
    by_files = settings(deletion={"caps": {"files": 100}})
    assert {d.reason for d in decide(host_plan(many), rules=by_files)} == {Reason.BLAST_RADIUS}
    by_bytes = settings(deletion={"caps": {"bytes": 1000}})
    assert {d.reason for d in decide(host_plan(many), rules=by_bytes)} == {Reason.BLAST_RADIUS}
    assert {(d.state, d.reason) for d in decide(host_plan(many, tree=150))} == {(State.WAITING, Reason.BLAST_RADIUS)}
    assert {d.state for d in decide(host_plan(many))} == {State.PLANNED}


def test_a_small_tree_may_lose_most_of_its_files() -> None:
    assert {d.state for d in decide(host_plan(ONE, tree=1))} == {State.PLANNED}


def test_the_budget_lets_through_what_it_has_left() -> None:
    plan = host_plan([f"/var/log/{n}.log" for n in range(5)])
    reasons = [d.reason for d in decide(plan, replace(FINE, actions_left=2))]
    assert reasons == [Reason.NONE] * 2 + [Reason.BUDGET_SPENT] * 3


def test_the_kill_switch_speaks_before_everything_else() -> None:
    first = gate.CHECKS[0]
    assert first[0] is Reason.STOPPED


# What a person asks for


def by_hand(
    purpose: frozenset[Reason],
    action: Action = Action.PURGE_ITEM,
    guards: Guards = FINE,
    rules: Settings | None = None,
    *,
    count: int = 1,
    offset: float = 0.0,
    **identity: Any,
) -> list[Reason]:
    changes = tuple(
        make_change("web-1", "asked", action, name="/etc/x", identity={"item": n, **identity}, undo=Undo.NONE)
        for n in range(count)
    )
    task = TaskPlan("asked", TaskType.CLEANUP, State.PLANNED, changes=changes, facts={"tree_files": 100})
    plan = HostPlan("web-1", "m1", "b1", NOW, offset, (task,))
    return [d.reason for d in gate.decide_by_hand(HOST, plan, rules or settings(), guards, purpose)]


PURPOSES = {"restore": gate.RESTORE, "purge": gate.PURGE, "remediate": gate.REMEDIATE}


@pytest.mark.parametrize(
    ("guards", "reason", "holds_for"),
    [
        (replace(FINE, stopped="stopped"), Reason.STOPPED, {"restore", "purge", "remediate"}),
        (replace(FINE, audit_problem="full"), Reason.AUDIT_UNWRITABLE, {"restore", "purge", "remediate"}),
        (replace(FINE, known_machine_id="m0"), Reason.MACHINE_CHANGED, {"restore", "purge", "remediate"}),
        (replace(FINE, frozen="frozen"), Reason.FREEZE, {"purge"}),
        (replace(FINE, outside_window="opens later"), Reason.OUTSIDE_WINDOW, set()),
        (replace(FINE, fleet_share=2.0), Reason.BLAST_RADIUS, {"purge", "remediate"}),
        (replace(FINE, breakers={"asked": "3 failures"}), Reason.BREAKER_OPEN, {"purge", "remediate"}),
        (replace(FINE, actions_left=0), Reason.BUDGET_SPENT, {"purge", "remediate"}),
    ],
)
def test_what_a_person_asks_for_passes_the_checks_of_its_purpose(
    guards: Guards, reason: Reason, holds_for: set[str]
) -> None:
    found = {name for name, purpose in PURPOSES.items() if by_hand(purpose, guards=guards) == [reason]}
    assert found == holds_for


def test_a_purge_asks_for_clock_and_caps_and_counts_the_budget() -> None:
    assert by_hand(gate.PURGE, offset=301) == [Reason.CLOCK_SKEW]
    few = settings(deletion={"caps": {"files": 2}})
    assert by_hand(gate.PURGE, count=3, rules=few) == [Reason.BLAST_RADIUS] * 3
    small = settings(deletion={"caps": {"bytes": 10}})
    assert by_hand(gate.PURGE, size=11, rules=small) == [Reason.BLAST_RADIUS]
    assert by_hand(gate.PURGE, guards=replace(FINE, actions_left=1), count=2) == [Reason.NONE, Reason.BUDGET_SPENT]


def test_files_for_a_full_disk_must_be_allowed_and_not_be_protected() -> None:
    for action in (Action.QUARANTINE_FILE, Action.ROTATE_LOG):
        assert by_hand(gate.REMEDIATE, action, path="/etc/passwd") == [Reason.NOT_ALLOWED]
        rules = settings(deletion={"protect": ["/var/log/app/*"]})
        assert by_hand(gate.REMEDIATE, action, rules=rules, path="/var/log/app/a") == [Reason.PROTECTED]


@pytest.mark.parametrize(
    ("action", "counts"),
    [
        (Action.QUARANTINE_FILE, True),
        (Action.PURGE_ITEM, True),
        (Action.VACUUM_JOURNAL, True),
        (Action.DROP_PACKAGE_CACHE, False),
        (Action.RELOCATE_ITEM, False),
        (Action.ROTATE_LOG, False),
    ],
)
def test_what_somebody_may_miss_counts_for_the_caps(action: Action, counts: bool) -> None:
    rules = settings(deletion={"caps": {"bytes": 10}})
    found = by_hand(gate.REMEDIATE, action, rules=rules, path="/var/log/app/a", size=11)
    assert found == [Reason.BLAST_RADIUS if counts else Reason.NONE]


def test_only_files_that_are_taken_from_a_tree_count_for_its_share() -> None:
    assert by_hand(gate.REMEDIATE, Action.PURGE_ITEM, count=150) == [Reason.NONE] * 150
    taken = by_hand(gate.REMEDIATE, Action.QUARANTINE_FILE, count=150, path="/var/log/app/a")
    assert taken == [Reason.BLAST_RADIUS] * 150


def test_a_version_that_failed_on_more_hosts_than_may_fail_is_spared_the_others() -> None:
    task = {"name": "p", "type": "package_update", "scope": "all", "waves": {"max_failures": 1}}
    rules = Settings.model_validate({"tasks": [task]})
    changes = tuple(
        make_change(
            "web-1",
            "p",
            Action.UPGRADE_PACKAGE,
            name=f"{package}=2",
            identity={"package": package, "to": "2"},
            undo=Undo.NONE,
        )
        for package in ("once", "twice")
    )
    plan = HostPlan(
        "web-1", "m1", "b1", NOW, 0.0, (TaskPlan("p", TaskType.PACKAGE_UPDATE, State.PLANNED, "", "", changes),)
    )
    bad = {("once", "2"): ["a"], ("twice", "2"): ["a", "b"], ("twice", "1"): ["c"]}
    allowed, refused = decide(plan, replace(FINE, known_bad=bad), rules)
    assert allowed.allowed
    assert (refused.state, refused.reason, refused.detail) == (State.SKIPPED, Reason.KNOWN_BAD, "failed on a, b")


@pytest.mark.parametrize(
    ("approval", "groups", "reason"),
    [
        ("auto", {}, Reason.NONE),
        ("notify", {}, Reason.NONE),
        ("auto", {"web": "notify"}, Reason.NONE),
        ("auto", {"web": "required"}, Reason.NEEDS_APPROVAL),
        ("auto", {"db": "required"}, Reason.NONE),
        ("auto", {"web": "required", "eu": "observe"}, Reason.OBSERVE_ONLY),
        ("observe", {"web": "auto"}, Reason.OBSERVE_ONLY),
        ("required", {"web": "auto", "eu": "notify"}, Reason.NEEDS_APPROVAL),
    ],
)
def test_the_most_careful_word_of_task_and_groups_holds(approval: str, groups: dict[str, str], reason: Reason) -> None:
    rules = settings(task={"approval": approval}, guards={"autonomy": groups})
    (decision,) = decide(host_plan(ONE), rules=rules, host=replace(HOST, groups=("web", "eu")))
    assert decision.reason is reason


def test_what_a_person_approved_is_allowed_and_says_that_it_was_approved() -> None:
    rules, plan = settings(task={"approval": "required"}), host_plan(["/var/log/a.log", "/var/log/b.log"])
    first, second = plan.changes
    decisions = decide(plan, replace(FINE, approved=frozenset({first.id})), rules)
    assert [(one.allowed, one.by_approval) for one in decisions] == [(True, True), (False, False)]
    assert decisions[1].change_id == second.id


def test_a_critical_alert_holds_a_reboot_back_and_nothing_else() -> None:
    task = {"name": "p", "type": "package_update", "scope": "all"}
    rules = Settings.model_validate({"tasks": [task]})
    changes = tuple(
        make_change("web-1", "p", action, name=action.value, identity={"package": "x", "to": "2"}, undo=Undo.NONE)
        for action in (Action.UPGRADE_PACKAGE, Action.REBOOT_HOST)
    )
    part = TaskPlan("p", TaskType.PACKAGE_UPDATE, State.PLANNED, Reason.NONE, "", changes)
    plan = HostPlan("web-1", "m1", "b1", NOW, 0.0, (part,))
    upgrade, reboot = decide(plan, replace(FINE, critical=("RaidDegraded", "DbDown")), rules)
    assert upgrade.allowed
    assert (reboot.state, reboot.reason) == (State.SKIPPED, Reason.CRITICAL_ALERT)
    assert reboot.detail == "open about this host: RaidDegraded, DbDown"
    assert all(one.allowed for one in decide(plan, FINE, rules))


def test_a_breaker_holds_its_own_rule_back() -> None:
    held = replace(FINE, breakers={"package_update": "went badly"})
    assert decide(host_plan(ONE), held)[0].allowed


def correction(name: str = "/etc/motd", *, action: Action = Action.CORRECT_FILE, **more: Any) -> HostPlan:
    identity = {"item": f"file:{name}", "kind": "file", "name": name, "wanted": {"state": "present"}, **more}
    change = make_change("web-1", "drift", action, name=f"file:{name}", identity=identity, undo=Undo.TRASH)
    task = TaskPlan("drift", TaskType.DRIFT, State.PLANNED, changes=(change,))
    return HostPlan("web-1", "m1", "b1", NOW, 0.0, (task,))


def decide_drift(
    plan: HostPlan, guards: Guards = FINE, rules: Settings | None = None, approval: Autonomy = Autonomy.AUTO
) -> Decision:
    (decision,) = gate.decide(HOST, plan, [DriftTask((), approval)], rules or settings(), guards)
    return decision


def test_a_correction_lies_where_its_baseline_says_and_not_where_logs_may_be_deleted() -> None:
    assert decide_drift(correction()).allowed


def test_an_item_waits_for_approval_when_its_baseline_says_so_or_autonomy_does() -> None:
    plan = correction(correct="approval")
    assert (decide_drift(plan).state, decide_drift(plan).reason) == (State.WAITING, Reason.NEEDS_APPROVAL)
    assert decide_drift(correction(correct="safe"), approval=Autonomy.REQUIRED).state is State.WAITING
    approved = decide_drift(plan, replace(FINE, approved=frozenset({plan.changes[0].id})))
    assert (approved.allowed, approved.by_approval) == (True, True)


def test_what_a_person_accepted_after_the_plan_was_made_is_left_alone() -> None:
    plan = correction()
    accepted = Allowance("file:/etc/motd", NOW + timedelta(days=1), "ann", "ticket 4711")
    other = replace(accepted, item="file:/etc/issue")
    held, free = (
        gate.decide(HOST, plan, [DriftTask((), Autonomy.AUTO, allowances=(one,))], settings(), FINE)[0]
        for one in (accepted, other)
    )
    assert (held.state, held.reason) == (State.SKIPPED, Reason.EXPLAINED)
    assert held.detail == "ann lets it differ until 2026-11-22 03:00 UTC: ticket 4711"
    assert free.allowed


@pytest.mark.parametrize("path", ["/etc/shadow", "/etc/ssl/private/a.key"])
def test_a_protected_file_is_not_corrected(path: str) -> None:
    rules = settings(deletion={"protect": ["/etc/shadow", "*.key"]})
    assert decide_drift(correction(path), rules=rules).reason is Reason.PROTECTED


def test_a_file_of_our_own_is_not_corrected() -> None:
    assert decide_drift(correction("/srv/.maintenancebot-trash/items/1")).reason is Reason.NOT_ALLOWED


def test_files_that_a_correction_removes_count_for_the_caps() -> None:
    changes = [correction(f"/etc/{n}", wanted={"state": "absent"}).changes[0] for n in range(3)]
    task = TaskPlan("drift", TaskType.DRIFT, State.PLANNED, changes=tuple(changes))
    plan = HostPlan("web-1", "m1", "b1", NOW, 0.0, (task,))
    rules = settings(deletion={"caps": {"files": 2}})
    decisions = gate.decide(HOST, plan, [DriftTask((), Autonomy.AUTO)], rules, FINE)
    assert {one.reason for one in decisions} == {Reason.BLAST_RADIUS}


def test_corrections_have_a_breaker_of_their_own() -> None:
    held = replace(FINE, breakers={"drift": "3 failures"})
    assert decide_drift(correction(), held).reason is Reason.BREAKER_OPEN


def restored(path: str, action: str = "correct_file", to: str = "", **more: Any) -> Decision:
    identity: dict[str, Any] = {"path": path, "state": "held", "action": action}
    (item,) = trash_items("web-1", [Finding("trash", "item", "t1", identity)])
    (change,) = restore_step(item, to).changes
    task = TaskPlan("trash", TaskType.CLEANUP, State.PLANNED, changes=(change,))
    plan = HostPlan("web-1", "m1", "b1", NOW, 0.0, (task,))
    (decision,) = gate.decide_by_hand(HOST, plan, settings(**more), FINE, gate.RESTORE)
    return decision


def test_what_a_correction_replaced_goes_back_to_its_own_place_and_nothing_else_does() -> None:
    assert restored("/etc/motd").allowed
    assert restored("/etc/motd", action="quarantine_file").reason is Reason.NOT_ALLOWED
    assert restored("/etc/motd", to="/etc/issue").reason is Reason.NOT_ALLOWED
    assert restored("/etc/motd", deletion={"protect": ["/etc/motd"]}).reason is Reason.PROTECTED
