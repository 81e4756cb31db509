"""The cycle over the fleet: every selected host has a report, and no host's trouble is another's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from maintenancebot.engine import cycle, guards
from maintenancebot.engine.brakes import Brakes
from maintenancebot.engine.cycle import Judged, Seen, Selected
from maintenancebot.engine.probing import Looked
from maintenancebot.engine.work import Work
from maintenancebot.errors import RemoteError
from maintenancebot.model import Action, Decision, Host, HostReport, Reason, State, TaskType, Undo
from maintenancebot.plan.document import HostPlan, Plan, TaskPlan, make_change
from maintenancebot.remote.local import LocalSession
from maintenancebot.settings import Settings
from maintenancebot.store import Store
from tests.unit.engine.boxes import (
    RUN,
    Box,
    NoRefresh,
    Told,
    cleanup,
    clock,
    ledger_of,
    settings,
    verify,
    work,
)
from tests.unit.engine.scripted import Frame, Scripted, ended, facts, finding

LIAR = Host("liar", "local", connection="local")
AWAY = Host("away", "192.0.2.1")
AHEAD = 40 * 86400.0


def selected(*hosts: Host, rules: Settings | None = None) -> tuple[Selected, ...]:
    return tuple(Selected(host, (rules or settings()).tasks) for host in hosts)


def look(fleet: tuple[Selected, ...], surroundings: Work, **more: Any) -> Seen:
    options: dict[str, Any] = {
        "configuration": "c",
        "refresh": NoRefresh(),
        "machine_ids": {},
        "unfinished": {},
        **more,
    }
    return cycle.look(fleet, surroundings, **options)


def run(fleet: tuple[Selected, ...], surroundings: Work, store: Store) -> dict[str, HostReport]:
    """All phases, as the application goes through them."""
    seen = look(fleet, surroundings)
    judged = cycle.judge(fleet, seen, surroundings, guards.read(store, fleet, seen.plan, surroundings))
    judged = make(fleet, judged, surroundings, store)
    return {report.host: report for report in cycle.host_reports(fleet, judged)}


def beside(box: Box, *frames: Frame, told: Told | None = None) -> Work:
    """A box, and `liar` that answers with these frames."""
    surroundings = work([box], told=told)

    def connect(host: Host) -> LocalSession:
        if host.name == LIAR.name:
            return Scripted(*frames, host=LIAR, ahead_seconds=AHEAD)
        connected = surroundings.connect(host)
        assert isinstance(connected, LocalSession)
        return connected

    return replace(surroundings, connect=connect)


def make(fleet: tuple[Selected, ...], judged: Judged, surroundings: Work, store: Store) -> Judged:
    """Make what was allowed, with the brakes of a run."""
    plan = judged.seen.plan
    ledger = ledger_of(store, digest=plan.digest)
    return cycle.make(fleet, judged, surroundings, ledger, Brakes(surroundings, ledger, expires_at=plan.expires_at))


def short(report: HostReport) -> tuple[State, Reason]:
    return report.state, report.reason


def test_every_selected_host_has_a_report_in_the_inventorys_order(make_box: Callable[..., Box], store: Store) -> None:
    boxes = [make_box("web-2"), make_box("web-1")]
    boxes[0].write("a.log", "b.log")
    idle = Selected(Host("idle", "192.0.2.2"), ())
    fleet = (*selected(AWAY, boxes[0].host), idle, *selected(boxes[1].host))
    told = Told()
    reports = run(fleet, work(boxes, told=told), store)
    assert {name: short(report) for name, report in reports.items()} == {
        "away": (State.UNKNOWN, Reason.UNREACHABLE),
        "web-2": (State.DONE, Reason.VERIFIED),
        "idle": (State.SKIPPED, Reason.NOT_SELECTED),
        "web-1": (State.NOTHING, Reason.NO_MATCH),
    }
    assert list(reports) == ["away", "web-2", "idle", "web-1"]
    assert reports["idle"].detail == "nothing of this run is for this host"
    assert reports["away"].detail == "Connection refused"
    assert boxes[0].names() == []
    assert told.phases == [("probe", 3), ("apply", 1)]
    assert told.hosts["web-2"] is State.DONE


def test_two_names_of_one_machine_are_one_host(make_box: Callable[..., Box], store: Store) -> None:
    first, second = make_box("web-1", "a" * 32), make_box("web-1-again", "a" * 32)
    for box in (first, second):
        box.write("a.log")
    reports = run(selected(first.host, second.host), work([first, second]), store)
    assert short(reports["web-1"]) == (State.DONE, Reason.VERIFIED)
    again = reports["web-1-again"]
    assert (short(again), again.detail) == ((State.SKIPPED, Reason.SAME_MACHINE), "the same machine as web-1")
    assert (first.names(), second.names()) == ([], ["a.log"])


def test_which_name_keeps_the_work_does_not_depend_on_who_answers_first(make_box: Callable[..., Box]) -> None:
    first, second = make_box("web-1", "a" * 32), make_box("web-1-again", "a" * 32)
    told, quick = Told(), first.session

    def slow() -> Any:
        end = time.monotonic() + 20
        while "web-1-again" not in told.hosts and time.monotonic() < end:
            time.sleep(0.01)
        return quick()

    first.session = slow
    seen = look(selected(first.host, second.host), work([first, second], told=told))
    assert [plan.host for plan in seen.plan.hosts] == ["web-1"]


def test_hosts_without_a_machine_id_are_not_taken_for_one() -> None:
    hosts = [replace(LIAR, name=name) for name in ("web-1", "web-2")]
    surroundings = replace(
        work([]), connect=lambda host: Scripted(facts(machine_id=""), ended(), host=host, ahead_seconds=AHEAD)
    )
    seen = look(selected(*hosts), surroundings)
    assert [plan.host for plan in seen.plan.hosts] == ["web-1", "web-2"]


def test_a_fault_of_ours_on_one_host_is_its_own(box: Box, store: Store) -> None:
    box.write("a.log")
    surroundings = work([box])

    def connect(host: Host) -> Any:
        if host.name == "away":
            raise RuntimeError("a fault of ours")
        return surroundings.connect(host)

    reports = run(selected(AWAY, box.host), replace(surroundings, connect=connect), store)
    assert short(reports["away"]) == (State.UNKNOWN, Reason.INTERNAL_ERROR)
    assert reports["away"].detail == "RuntimeError: a fault of ours"
    assert short(reports["web-1"]) == (State.DONE, Reason.VERIFIED)


def test_a_host_that_never_comes_back_is_overdue_and_the_others_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cycle, "GRACE_SECONDS", -31)
    rules = settings(ssh={"connect_timeout": 1, "login_timeout": 1, "probe_deadline": 30})
    stuck = threading.Event()
    surroundings = work([], rules)

    def connect(host: Host) -> Any:
        if host.name == "away":
            stuck.wait(60)
        return surroundings.connect(host)

    fleet = selected(AWAY, Host("down", "192.0.2.2"), rules=rules)
    seen = look(fleet, replace(surroundings, connect=connect))
    stuck.set()
    reports = cycle.host_reports(fleet, Judged(seen, {}))
    assert [short(report) for report in reports] == [
        (State.UNKNOWN, Reason.DEADLINE),
        (State.UNKNOWN, Reason.UNREACHABLE),
    ]
    assert reports[0].detail.endswith(": no end within 1 s")


def test_a_fault_of_ours_while_applying_leaves_the_changes_unknown_and_open(box: Box, store: Store) -> None:
    box.write("a.log")
    fleet, surroundings = selected(box.host), work([box])
    seen = look(fleet, surroundings)
    judged = cycle.judge(fleet, seen, surroundings, guards.read(store, fleet, seen.plan, surroundings))

    def connect(host: Host) -> Any:
        raise RuntimeError("a fault of ours")

    judged = make(fleet, judged, replace(surroundings, connect=connect), store)
    (report,) = cycle.host_reports(fleet, judged)
    assert short(report) == (State.UNKNOWN, Reason.INTERNAL_ERROR)
    (change,) = report.tasks[0].changes
    assert change.detail == "RuntimeError: a fault of ours; looked up at the next start"
    assert len(store.intents.unfinished()) == 1


# Hosts that lie

IDENTITY = {
    "path": "/var/log/app/a.log", "root": "/var/log", "dev": 1, "ino": 2, "size": 3, "mtime_ns": 4, "ctime_ns": 5,
    "mode": 33188, "uid": 0, "gid": 0,
}  # fmt: skip


def candidate(allocated: Any = 4096, **changed: Any) -> Frame:
    data = {"identity": {**IDENTITY, **changed}, "compress": False, "allocated": allocated}
    return finding(data, subject="/var/log/app/a.log")


def lie_while_looking(box: Box, store: Store, *frames: Frame) -> dict[str, HostReport]:
    box.write("a.log")
    return run(selected(LIAR, box.host), beside(box, facts(), *frames), store)


@pytest.mark.parametrize(
    "frames",
    [
        [candidate(allocated="lots"), ended()],
        [finding({"compress": True}), ended()],
        [candidate(size="lots"), ended()],
        [candidate(size=[1]), ended()],
        [candidate(size=float("nan"), dev=float("inf")), ended()],
        [candidate(), ended(facts={"tree_files": "many"})],
        [candidate(path="../../etc/passwd"), ended()],
    ],
    ids=["allocated", "no identity", "size", "size as list", "not a number", "tree", "path"],
)
def test_a_host_that_lies_while_it_is_looked_at_hurts_no_other(frames: list[Frame], box: Box, store: Store) -> None:
    box.write("a.log")
    reports = run(selected(LIAR, box.host), beside(box, facts(), *frames), store)
    assert reports["liar"].state is not State.DONE
    assert short(reports["web-1"]) == (State.DONE, Reason.VERIFIED)
    assert box.names() == []


@pytest.mark.parametrize("clock_offset", [float("nan"), float("inf"), 3600.0, -3600.0])
def test_a_clock_that_cannot_be_trusted_keeps_every_old_file(clock_offset: float, box: Box, store: Store) -> None:
    box.write("a.log")
    fleet, surroundings = selected(box.host), work([box])
    seen = look(fleet, surroundings)
    (plan,) = seen.plan.hosts
    seen = replace(seen, plan=replace(seen.plan, hosts=(replace(plan, clock_offset=clock_offset),)))
    judged = cycle.judge(fleet, seen, surroundings, guards.read(store, fleet, seen.plan, surroundings))
    assert {decision.reason for decision in judged.decisions["web-1"].values()} == {Reason.CLOCK_SKEW}


@pytest.mark.parametrize(
    "measured",
    [
        {"freed_now": 1.5},
        {"freed_now": "lots"},
        {"freed_at_purge": [1]},
    ],
    ids=["fraction", "word", "list"],
)
def test_a_host_that_lies_of_what_it_measured_does_not_cost_the_report(
    measured: dict[str, Any], box: Box, store: Store
) -> None:
    box.write("a.log")
    (change,) = look(selected(LIAR), beside(box, facts(), candidate(), ended())).plan.hosts[0].changes
    step = f"trash.move:{change.id}"
    told = {"change": change.id, "state": "done", "reason": "verified", "detail": "", "measured": measured}
    frames = [("step", {"step": step}), ("hear", None), ("outcome", {"step": step, "outcomes": [told]})]
    surroundings = beside(box, facts(), *frames)
    fleet = selected(LIAR, box.host)
    seen = look(fleet, beside(box, facts(), candidate(), ended()))
    judged = cycle.judge(fleet, seen, surroundings, guards.read(store, fleet, seen.plan, surroundings))
    judged = make(fleet, judged, surroundings, store)
    reports = {report.host: report for report in cycle.host_reports(fleet, judged)}
    assert short(reports["web-1"]) == (State.DONE, Reason.VERIFIED)
    assert set(reports) == {"liar", "web-1"}


def test_a_plan_whose_changes_no_subject_can_make_is_one_hosts_trouble(box: Box, store: Store) -> None:
    box.write("a.log")
    fleet, surroundings = selected(LIAR, box.host), work([box])
    seen = look(fleet[1:], surroundings)
    odd = make_change("liar", "logs", Action.REMOVE_IMAGE, name="x", identity={"id": "x"}, undo=Undo.PULL)
    task = TaskPlan("logs", TaskType.CLEANUP, State.PLANNED, changes=(odd,))
    host_plan = HostPlan("liar", "f" * 32, "b", clock(), 0.0, (task,))
    plan = replace(seen.plan, hosts=(host_plan, *seen.plan.hosts)).sealed()
    seen = cycle.given(plan, fleet)
    judged = cycle.judge(fleet, seen, surroundings, guards.read(store, fleet, plan, surroundings))
    judged = make(fleet, judged, surroundings, store)
    reports = {report.host: report for report in cycle.host_reports(fleet, judged)}
    assert short(reports["liar"]) == (State.FAILED, Reason.INTERNAL_ERROR)
    assert short(reports["web-1"]) == (State.DONE, Reason.VERIFIED)


# Decisions


def test_each_host_is_judged_by_its_own_guards(make_box: Callable[..., Box], store: Store) -> None:
    open_, flagged, moved = make_box("open"), make_box("flagged"), make_box("moved")
    for box in (open_, flagged, moved):
        box.write("a.log")
    flagged.host = replace(flagged.host, maintenance=True)
    store.machines.remember("moved", "e" * 32, "", at=clock())
    reports = run(selected(open_.host, flagged.host, moved.host), work([open_, flagged, moved]), store)
    assert {name: short(report) for name, report in reports.items()} == {
        "open": (State.DONE, Reason.VERIFIED),
        "flagged": (State.SKIPPED, Reason.MAINTENANCE),
        "moved": (State.SKIPPED, Reason.MACHINE_CHANGED),
    }
    assert [box.names() for box in (open_, flagged, moved)] == [[], ["a.log"], ["a.log"]]


def test_a_stopped_run_makes_nothing_and_says_so(box: Box, store: Store) -> None:
    box.write("a.log", "b.log")
    store.guard.stop("disk swap", "ann", at=clock())
    report = run(selected(box.host), work([box]), store)["web-1"]
    assert short(report) == (State.SKIPPED, Reason.STOPPED)
    assert {change.detail for change in report.tasks[0].changes} == {"stopped by ann: disk swap"}
    assert box.names() == ["a.log", "b.log"]


def test_a_task_that_only_looks_is_not_changed_by_its_neighbours(box: Box, store: Store) -> None:
    rules = settings(
        cleanup("watched") | {"approval": "observe"}, cleanup("other", path="/var/log/app/*.txt"), verify()
    )
    box.write("a.log", "b.txt")
    report = run(selected(box.host, rules=rules), work([box], rules), store)["web-1"]
    assert [(task.task, task.state, task.reason) for task in report.tasks] == [
        ("watched", State.SKIPPED, Reason.OBSERVE_ONLY),
        ("other", State.DONE, Reason.VERIFIED),
        ("backups", State.FAILED, Reason.MISSING),
    ]
    assert short(report) == (State.FAILED, Reason.MISSING)
    assert box.names() == ["a.log"]


def test_the_plan_is_sealed_and_the_same_objects_have_the_same_ids(box: Box) -> None:
    box.write("a.log")
    first, second = (look(selected(box.host), work([box])).plan for _ in range(2))
    assert first.digest == first.sealed().digest
    assert first.configuration == "c"
    assert [change.id for change in first.hosts[0].changes] == [change.id for change in second.hosts[0].changes]
    assert (first.expires_at - first.created_at).total_seconds() == 24 * 3600


def test_a_host_whose_changes_were_all_refused_is_not_connected_to(box: Box, store: Store) -> None:
    box.write("a.log")
    fleet, surroundings = selected(box.host), work([box])
    seen = look(fleet, surroundings)
    connected = len(box.executions)
    no: Mapping[str, Mapping[str, Decision]] = {
        "web-1": {c.id: Decision(c.id, State.SKIPPED, Reason.FREEZE) for c in seen.plan.hosts[0].changes}
    }
    judged = make(fleet, Judged(seen, no), surroundings, store)
    assert (len(box.executions), judged.outcomes, store.intents.unfinished()) == (connected, {}, [])


class Pair:
    """Hosts of one quorum group with an upgrade each, as if they had been looked at, and who answers."""

    def __init__(self, **answers: bool) -> None:
        self.hosts = [Host(name, name, quorum="db") for name in ("db-1", "db-2")]
        self.answers = {"db-1": True, "db-2": True, **{name.replace("_", "-"): here for name, here in answers.items()}}
        self.asked: list[str] = []
        rules = settings({"name": "p", "type": "package_update", "scope": "all"})
        self.work = replace(work([], rules), connect=self.connect)

    def connect(self, host: Host) -> Any:
        self.asked.append(host.name)
        if not self.answers[host.name]:
            raise RemoteError(Reason.UNREACHABLE, "Connection refused")
        return Scripted(facts(), host=host)

    def order(self, *names: str, fresh: bool = True, unlooked: Reason | None = None, **more: Any) -> list[str]:
        """What is said of the first wave when these hosts are selected, and the others stand in the inventory."""
        fleet = [replace(host, **more) if host.name not in names else host for host in self.hosts]
        fleet += [Host("web-1", "web-1"), Host("web-2", "web-2")]
        chosen = selected(
            *(host for host in fleet if host.name in (*names, "web-1", "web-2")), rules=self.work.settings
        )
        plans = tuple(_plan_of(item.host.name) for item in chosen)
        looked = {item.host.name: Looked(item.host, plan) for item, plan in zip(chosen, plans, strict=True)}
        if unlooked:
            looked["db-2"] = Looked(self.hosts[1], reason=unlooked)
        decisions = {plan.host: {c.id: Decision(c.id, State.PLANNED) for c in plan.changes} for plan in plans}
        plan = Plan(RUN, clock(), clock(), "c", plans)
        judged = Judged(Seen(plan, looked, fresh), decisions)
        return cycle.order(chosen, judged, self.work, fleet=fleet)


def _plan_of(host: str) -> HostPlan:
    change = make_change(host, "p", Action.UPGRADE_PACKAGE, name="x=2", identity={"package": "x"}, undo=Undo.NONE)
    task = TaskPlan("p", TaskType.PACKAGE_UPDATE, State.PLANNED, changes=(change,))
    return HostPlan(host, "f" * 32, "b1", clock(), 0.0, (task,))


WITH = ["upgrades begin with db-1; 2 more follow in waves"]
LEFT = "db-1 left: another host of the quorum group is down or in maintenance"
WITHOUT = [f"upgrades begin with web-1; 1 more follow in waves; {LEFT}"]


def test_a_partner_that_is_not_selected_is_asked_for_a_sign_of_life() -> None:
    assert Pair().order("db-1") == WITH
    assert Pair(db_2=False).order("db-1") == WITHOUT


def test_a_partner_in_maintenance_counts_as_down() -> None:
    assert Pair().order("db-1", maintenance=True) == WITHOUT


@pytest.mark.parametrize("reason", [Reason.HUNG, Reason.DEADLINE, Reason.GARBLED, Reason.UNREACHABLE])
def test_a_partner_that_could_not_be_looked_at_counts_as_down(reason: Reason) -> None:
    assert Pair().order("db-1", unlooked=reason) == WITHOUT


def test_partners_are_asked_anew_for_a_plan_that_was_made_earlier() -> None:
    pair = Pair()
    pair.order("db-1", "db-2")
    assert pair.asked == []
    pair.order("db-1", "db-2", fresh=False)
    assert sorted(pair.asked) == ["db-1", "db-2"]


def test_what_hosts_note_as_bad_is_known_for_all_and_odd_notes_are_nobodys_trouble(store: Store) -> None:
    told: list[Any] = [[["x", "2"], ["x", "2"]], [["x", "2"], ["y", "1"]], "x", None, [1, ["x"], ["z", {}]]]
    hosts = [Host(f"h{number}", "192.0.2.1") for number in range(len(told))]
    plans = []
    for host, rows in zip(hosts, told, strict=True):
        plan = _plan_of(host.name)
        plans.append(replace(plan, tasks=(replace(plan.tasks[0], facts={"known_bad": rows}),)))
    chosen = selected(*hosts)
    found = guards.read(store, chosen, Plan(RUN, clock(), clock(), "c", tuple(plans)), work([]))
    bad = found["h0"].known_bad
    assert {key: list(names) for key, names in bad.items()} == {
        ("x", "2"): ["h0", "h1"],
        ("y", "1"): ["h1"],
        ("z", "{}"): ["h4"],
    }
