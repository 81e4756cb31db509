"""Hosts held against their declared state over the real local host: from a baseline to the report, and back again."""

from __future__ import annotations

import json
import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from maintenancebot import app
from maintenancebot.app import drift
from maintenancebot.app.allowances import parse_until
from maintenancebot.app.context import load
from maintenancebot.app.maintenance import select
from maintenancebot.engine.cycle import Selected
from maintenancebot.engine.progress import Silent
from maintenancebot.errors import ConfigurationError, PlanError, UsageError
from maintenancebot.model import Action, Outcome, Reason, Report, State, Step, TaskReport, TaskType, Undo
from maintenancebot.plan.document import make_change, plan_to_json
from maintenancebot.settings import DriftTask
from maintenancebot.store import Store
from tests.unit.places import Place

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
TASK = {"name": "backups", "type": "verify", "check": "backup_completed_within_24h"}


@pytest.fixture
def declared(place: Place, tmp_path: Path) -> Path:
    """A file of this machine, declared with its own content; the folder of the baselines beside the configuration."""
    place.configure(TASK)
    place.list_hosts("this")
    (tmp_path / "motd").write_text("as declared\n")
    baseline(place, files=[{"path": f"{tmp_path}/motd", "content": "as declared\n"}])
    return tmp_path / "motd"


def baseline(place: Place, name: str = "base.yaml", hosts: Any = ("all",), **sections: Any) -> None:
    folder = place.config.parent / "baselines"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(yaml.safe_dump({"hosts": list(hosts), **sections}))


def scan(place: Place, *tasks: str, **more: Any) -> Report:
    report, _ = app.dry_run(place, tasks=tasks or ("drift",), progress=Silent(), stop=threading.Event(), **more)
    return report


def the_task(report: Report) -> TaskReport:
    (host,) = report.hosts
    (task,) = [one for one in host.tasks if one.task == "drift"]
    return task


def verdict(report: Report) -> tuple[State, Reason]:
    task = the_task(report)
    return task.state, task.reason


# The task of a host


def test_a_host_is_held_against_its_declared_state_beside_its_other_tasks(place: Place, declared: Path) -> None:
    report = scan(place, "drift", "backups")
    assert [task.task for task in report.hosts[0].tasks] == ["backups", "drift"]
    assert verdict(report) == (State.NOTHING, Reason.AS_DECLARED)
    declared.write_text("otherwise\n")
    assert verdict(scan(place)) == (State.FAILED, Reason.DRIFTED)
    assert the_task(scan(place)).facts["drifted"][0]["item"] == f"file:{declared}"


def test_a_scan_leaves_no_state_behind(place: Place, declared: Path) -> None:
    scan(place)
    assert not place.state_dir.exists()
    assert declared.read_text() == "as declared\n"


def test_a_host_for_which_nothing_is_declared_has_no_comparison(place: Place, declared: Path) -> None:
    place.list_hosts("this", "that")
    baseline(place, hosts=["this"], packages=[{"name": "bash"}])
    selected = select(load(place), (), (), ())
    names = {item.host.name: [task.name for task in item.tasks] for item in selected}
    assert names == {"this": ["backups", "drift"], "that": ["backups"]}


def test_drift_is_the_name_of_a_task_only_where_there_are_baselines(place: Place, declared: Path) -> None:
    with pytest.raises(UsageError) as caught:
        scan(place, "tidy")
    assert str(caught.value) == "no task is named 'tidy'; there are: backups, drift"
    (place.config.parent / "baselines" / "base.yaml").unlink()
    with pytest.raises(UsageError) as caught:
        scan(place)
    assert str(caught.value) == "nothing is declared: no baseline lies in 'baselines'"


def test_a_run_does_what_a_scan_says(place: Place, declared: Path) -> None:
    declared.write_text("otherwise\n")
    report = app.run(place, tasks=("drift",), progress=Silent(), stop=threading.Event())
    assert verdict(report) == (State.FAILED, Reason.DRIFTED)
    assert declared.read_text() == "otherwise\n", "nothing says that it may be corrected"


# Plan files


def plan_file(place: Place) -> Path:
    _, plan = app.dry_run(place, tasks=("drift",), progress=Silent(), stop=threading.Event())
    file = place.config.parent / "plan.json"
    file.write_text(json.dumps(plan_to_json(plan)))
    return file


def test_a_plan_of_drift_can_be_run(place: Place, declared: Path) -> None:
    file = plan_file(place)
    report = app.run(place, plan_file=file, progress=Silent(), stop=threading.Event())
    assert [task.task for task in report.hosts[0].tasks] == ["drift"]


def test_a_plan_is_refused_once_a_declared_content_is_another(place: Place, declared: Path) -> None:
    file = plan_file(place)
    baseline(place, files=[{"path": str(declared), "content": "another\n"}])
    with pytest.raises(PlanError) as caught:
        app.run(place, plan_file=file, progress=Silent(), stop=threading.Event())
    assert caught.value.reason is Reason.PLAN_CHANGED


@pytest.mark.skipif(os.geteuid() != 0, reason="only root corrects")
def test_what_was_accepted_after_a_plan_was_made_is_left_alone(place: Place, declared: Path) -> None:
    baseline(place, files=[{"path": str(declared), "content": "another\n", "correct": "safe"}])
    file = plan_file(place)
    app.drift_accept(place, ["this"], f"file:{declared}", "1d", "by hand at night")
    report = app.run(place, plan_file=file, progress=Silent(), stop=threading.Event())
    (change,) = the_task(report).changes
    assert (change.state, change.reason) == (State.SKIPPED, Reason.EXPLAINED)
    assert declared.read_text() == "as declared\n"


# What is wrong with baselines


def test_hosts_that_no_inventory_has_are_a_fault_of_the_baseline(place: Place, declared: Path) -> None:
    baseline(place, hosts=["web"], packages=[{"name": "curl"}])
    with pytest.raises(ConfigurationError) as caught:
        load(place)
    assert str(caught.value).endswith(
        "base.yaml:2:1: no host or group is called 'web'; `maintenancebot hosts` lists them"
    )


def test_what_a_host_of_the_file_lacks_stops_every_command(place: Place, declared: Path) -> None:
    baseline(place, files=[{"path": "/x", "content": "{{ labels.rack }}"}])
    with pytest.raises(ConfigurationError) as caught:
        load(place)
    assert "the host has no label `rack` (for this)" in str(caught.value)
    place.list_hosts(this={"connection": "local", "become": False, "labels": {"rack": "a1"}})
    load(place)


def test_what_a_host_of_a_source_lacks_is_its_own_trouble(place: Place, declared: Path, tmp_path: Path) -> None:
    answer = {"_meta": {"hostvars": {"that": {"ansible_connection": "local"}}}, "all": {"hosts": ["that"]}}
    script = tmp_path / "source"
    script.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(answer)}\nEND\n")
    script.chmod(0o755)
    host = {"connection": "local", "become": False, "labels": {"rack": "a1"}}
    source = {"type": "command", "name": "made", "argv": [str(script)]}
    place.inventory.write_text(yaml.safe_dump({"hosts": {"this": host}, "sources": [source]}))
    baseline(place, files=[{"path": "/x", "content": "{{ labels.rack }}"}])
    context = load(place)
    tasks = drift.tasks(context, context.inventory.hosts)
    assert {name: bool(task.problem) for name, task in tasks.items()} == {"this": False, "that": True}
    that = Selected(context.inventory.hosts[1], (tasks["that"],))
    with context.connections() as connections:
        from maintenancebot.engine import probing

        looked = probing.look(that.host, that.tasks, context.work("r", connections, Silent()))
    assert looked.plan is not None, looked
    (plan,) = looked.plan.tasks
    assert (plan.state, plan.reason) == (State.UNKNOWN, Reason.BASELINE_INVALID)
    assert "the host has no label `rack`" in plan.detail


# What explains a difference


def test_an_accepted_difference_is_explained_until_it_is_revoked(place: Place, declared: Path) -> None:
    declared.write_text("otherwise\n")
    item = f"file:{declared}"
    (given,) = app.drift_accept(place, ["this"], item, "7d", "while we look")
    assert (given.host, given.item, given.reason) == ("this", item, "while we look")
    assert app.drift_allowances(place, []) == [given]
    report = scan(place)
    assert verdict(report) == (State.NOTHING, Reason.EXPLAINED)
    (row,) = the_task(report).facts["explained"]
    assert (row["explained"]["by"], row["explained"]["reason"]) == ("allowance", "while we look")
    assert app.drift_revoke(place, ["this"], item) == ["this"]
    assert verdict(scan(place)) == (State.FAILED, Reason.DRIFTED)


def test_what_is_not_declared_cannot_be_accepted(place: Place, declared: Path) -> None:
    with pytest.raises(UsageError) as caught:
        app.drift_accept(place, ["this"], f"file:{declared}.old", "7d", "why")
    assert str(caught.value) == (f"no item 'file:{declared}.old' is declared for this; did you mean 'file:{declared}'?")
    with pytest.raises(UsageError, match="the reason must be one line that says why"):
        app.drift_accept(place, ["this"], f"file:{declared}", "7d", " ")
    with pytest.raises(UsageError, match="no host is named 'that'"):
        app.drift_accept(place, ["that"], f"file:{declared}", "7d", "why")
    with pytest.raises(UsageError, match="no allowance holds for 'file:/x' there"):
        app.drift_revoke(place, ["this"], "file:/x")
    assert app.drift_allowances(place, ["this"]) == []


def test_changes_of_ours_are_told_where_they_may_be_about_an_item(place: Place, declared: Path) -> None:
    baseline(place, "more.yaml", packages=[{"name": "curl"}], files=[{"path": "/a=b"}])
    context = load(place)
    with Store.open(place.state_dir, create=True) as store:
        for action, name in (
            (Action.UPGRADE_PACKAGE, "curl=8.1"),
            (Action.UPGRADE_PACKAGE, "bash=5"),
            (Action.QUARANTINE_FILE, str(declared)),
            (Action.RESTORE_FILE, "/a=b"),
            (Action.QUARANTINE_FILE, "/var/log/x.log"),
            (Action.REMOVE_IMAGE, str(declared)),
            (Action.RENEW_CERTIFICATE, "example.org"),
        ):
            made(store, action, name)
        (item,) = drift.informed(select(context, (), (), ("drift",)), store, AT + timedelta(days=1))
        (late,) = drift.informed(select(context, (), (), ("drift",)), store, AT + timedelta(days=91))
    (task,), (later,) = item.tasks, late.tasks
    assert isinstance(task, DriftTask)
    assert isinstance(later, DriftTask)
    assert [(own.action, own.name, own.at, own.run) for own in task.own] == [
        ("upgrade_package", "curl=8.1", AT, "r1"),
        ("quarantine_file", str(declared), AT, "r1"),
        ("restore_file", "/a=b", AT, "r1"),
        ("renew_certificate", "example.org", AT, "r1"),
    ]
    assert later.own == ()


def test_what_was_restored_may_be_about_the_keys_of_a_user(place: Place, declared: Path) -> None:
    baseline(place, "more.yaml", crontabs=[{"user": "ann", "state": "absent"}])
    with Store.open(place.state_dir, create=True) as store:
        made(store, Action.RESTORE_FILE, "/var/spool/cron/crontabs/ann")
        made(store, Action.QUARANTINE_FILE, "/var/spool/cron/crontabs/ann")
        (item,) = drift.informed(select(load(place), (), (), ("drift",)), store, AT + timedelta(days=1))
    (task,) = item.tasks
    assert isinstance(task, DriftTask)
    assert [own.action for own in task.own] == ["restore_file"]


def made(store: Store, action: Action, name: str) -> None:
    change = make_change("this", "t", action, name=name, identity={"name": name}, undo=Undo.NONE)
    store.intents.record("r1", "this", "d" * 64, [Step(name[:60], "t", "op", (change,))], at=AT)
    store.intents.close("r1", [Outcome(change.id, State.DONE)], host="this", at=AT)


# Until when


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("12h", datetime(2026, 11, 22, 0, tzinfo=UTC)),
        ("7d", datetime(2026, 11, 28, 12, tzinfo=UTC)),
        ("2w", datetime(2026, 12, 5, 12, tzinfo=UTC)),
        ("2026-11-22", datetime(2026, 11, 22, 22, 59, 59, tzinfo=UTC)),
        ("2026-11-22 18:00", datetime(2026, 11, 22, 17, tzinfo=UTC)),
        ("2026-11-22T18:00+03:00", datetime(2026, 11, 22, 15, tzinfo=UTC)),
    ],
)
def test_an_end_is_a_span_a_day_or_a_time_in_the_zone_of_the_configuration(text: str, end: datetime) -> None:
    assert parse_until(text, AT, ZoneInfo("Europe/Berlin")) == end


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("soon", "'soon' is not a time; write"),
        ("0d", "'0d' is not a time; write"),
        ("2026-11-20", "'2026-11-20' is over already; write a time to come"),
        ("2028-01-01", "'2028-01-01' is more than a year away; what is to stay belongs into the baseline"),
        ("9999w", "is more than a year away"),
        ("9999-12-31", "is more than a year away"),
    ],
)
def test_an_allowance_has_an_end_that_can_be_foreseen(text: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_until(text, AT, ZoneInfo("Europe/Berlin"))
    assert why in str(caught.value)


@pytest.mark.parametrize(("text", "zone"), [("9999-12-31", "America/New_York"), ("0001-01-01 00:00", "Europe/Berlin")])
def test_an_end_at_the_edge_of_all_calendars_is_refused_in_words(text: str, zone: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_until(text, AT, ZoneInfo(zone))
    assert str(caught.value) == f"{text!r} cannot be reckoned with; write a time within the next year"


def test_the_type_of_the_task_is_no_type_of_a_configuration() -> None:
    assert DriftTask.type is TaskType.DRIFT
